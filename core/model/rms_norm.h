// RMSNorm over the last dimension (arXiv 1910.07467): y = x r w, r = 1 / sqrt(mean(x^2) + epsilon).
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

namespace mestre {

/// x [..., width], weight [width], fp32 or fp64 on the CPU; one pass each way, differentiable once, deterministic.
[[nodiscard]] at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

/// Its one parameter is `weight` [width].
class RmsNorm : public torch::nn::Module {
 public:
  RmsNorm(std::int64_t width, double epsilon);
  [[nodiscard]] at::Tensor forward(const at::Tensor& x) const { return rms_norm(x, weight, epsilon_); }

  at::Tensor weight;

 private:
  double epsilon_;
};

}  // namespace mestre
