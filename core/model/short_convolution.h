// The short causal convolution of Mamba and of attention's "short convolution" option: depthwise over time, a few taps,
// then SiLU.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "core/model/initialization.h"

namespace mestre {

/// y_t = SiLU(bias + sum_k weight[:, k] x_{t - taps + 1 + k}); what lies before the sequence is zero.
/// Parameters: weight [channels, taps], and bias [channels] where it has one, else zero.
class ShortConvolution : public torch::nn::Module {
 public:
  ShortConvolution(std::int64_t channels, std::int64_t taps, bool has_bias = true);
  /// x [batch, length, channels], of any strides, to the same shape. `inputs`, where given, holds the taps - 1 inputs
  /// before x (undefined: zeros), and then those before what follows x.
  [[nodiscard]] at::Tensor forward(const at::Tensor& x, at::Tensor* inputs = nullptr) const;
  /// U(-1/sqrt(taps), 1/sqrt(taps)) for both, as the framework's convolution has it.
  void initialize(const Initializer& initializer);

  at::Tensor weight, bias;  // bias undefined where there is none
};

}  // namespace mestre
