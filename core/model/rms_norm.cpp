#include "core/model/rms_norm.h"

#include <ATen/ATen.h>

#include "core/model/parameter.h"
#include "kernels/rms_norm/rms_norm.h"

namespace mestre {

RmsNorm::RmsNorm(std::int64_t width, double epsilon) : epsilon_(epsilon) {
  weight = add_parameter(*this, "weight", {width});
}

at::Tensor RmsNorm::forward(const at::Tensor& x) const {
  return kernels::rms_norm(x, weight, epsilon_);
}

}  // namespace mestre
