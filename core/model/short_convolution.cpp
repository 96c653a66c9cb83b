#include "core/model/short_convolution.h"

#include <cmath>
#include <optional>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/parameter.h"
#include "kernels/causal_conv1d/causal_conv1d.h"

namespace mestre {

ShortConvolution::ShortConvolution(std::int64_t channels, std::int64_t taps, bool has_bias) {
  if (taps > kernels::kMostTaps)
    throw Error(ErrorCode::kBadInput,
                fmt::format("a short convolution of {} taps, expected at most {}", taps, kernels::kMostTaps));
  weight = add_parameter(*this, "weight", {channels, taps});
  if (has_bias) bias = add_parameter(*this, "bias", {channels});
}

at::Tensor ShortConvolution::forward(const at::Tensor& x, at::Tensor* inputs) const {
  const auto added = bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
  const auto before = inputs != nullptr && inputs->defined() ? std::optional<at::Tensor>(*inputs) : std::nullopt;
  const auto [y, after] = kernels::causal_conv1d(x, weight, added, true, before);
  if (inputs != nullptr) *inputs = after;
  return y;
}

void ShortConvolution::initialize(const Initializer& initializer) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(weight.size(1)));
  initializer.uniform("weight", weight, -bound, bound);
  if (bias.defined()) initializer.uniform("bias", bias, -bound, bound);
}

}  // namespace mestre
