// The norm of a model's layers: RMSNorm over the last dimension (kernels/rms_norm).
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

namespace mestre {

/// Its one parameter is `weight` [width].
class RmsNorm : public torch::nn::Module {
 public:
  RmsNorm(std::int64_t width, double epsilon);
  /// x [..., width] to the same shape.
  [[nodiscard]] at::Tensor forward(const at::Tensor& x) const;

  at::Tensor weight;

 private:
  double epsilon_;
};

}  // namespace mestre
