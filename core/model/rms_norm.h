// RMSNorm over the last dimension: x / sqrt(mean(x^2) + epsilon) * weight.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

namespace mestre {

/// Its one parameter is `weight` [width].
class RmsNorm : public torch::nn::Module {
 public:
  RmsNorm(std::int64_t width, double epsilon);
  [[nodiscard]] at::Tensor forward(const at::Tensor& x) const;

  at::Tensor weight;

 private:
  double epsilon_;
};

}  // namespace mestre
