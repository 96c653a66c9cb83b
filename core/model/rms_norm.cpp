#include "core/model/rms_norm.h"

#include <ATen/ATen.h>

namespace mestre {

RmsNorm::RmsNorm(std::int64_t width, double epsilon) : epsilon_(epsilon) {
  weight = register_parameter("weight", at::empty({width}, at::kFloat));
}

at::Tensor RmsNorm::forward(const at::Tensor& x) const {
  return at::rms_norm(x, weight.sizes(), weight, epsilon_);
}

}  // namespace mestre
