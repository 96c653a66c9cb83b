#include "core/model/short_convolution.h"

#include <cmath>

#include <ATen/ATen.h>

namespace mestre {

ShortConvolution::ShortConvolution(std::int64_t channels, std::int64_t taps) {
  weight = register_parameter("weight", at::empty({channels, taps}, at::kFloat));
  bias = register_parameter("bias", at::empty({channels}, at::kFloat));
}

at::Tensor ShortConvolution::forward(const at::Tensor& x) const {
  const std::int64_t taps = weight.size(1), length = x.size(1);
  const at::Tensor padded = at::constant_pad_nd(x, {0, 0, taps - 1, 0});
  at::Tensor y = bias.expand(x.sizes());
  for (std::int64_t k = 0; k < taps; ++k) y = at::addcmul(y, padded.narrow(1, k, length), weight.select(1, k));
  return at::silu(y);
}

void ShortConvolution::initialize(const Initializer& initializer) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(weight.size(1)));
  initializer.uniform("weight", weight, -bound, bound);
  initializer.uniform("bias", bias, -bound, bound);
}

}  // namespace mestre
