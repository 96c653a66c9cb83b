// Matrix products of the model: y = x W^T.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

namespace mestre {

/// x [..., in] times the transpose of weight [out, in]; differentiable, deterministic for a given number of threads.
/// fp32 on a CPU goes to oneDNN, which uses AVX-512 wherever it is there; the library behind at::linear does so only on
/// Intel's processors (measured on a Zen 5 core, 2048 x 128 x 384: 200 GFLOP/s against 95).
[[nodiscard]] at::Tensor dense(const at::Tensor& x, const at::Tensor& weight);

/// A linear layer without bias; its one parameter is `weight` [out, in].
class Dense : public torch::nn::Module {
 public:
  Dense(std::int64_t in, std::int64_t out);
  [[nodiscard]] at::Tensor forward(const at::Tensor& x) const { return dense(x, weight); }

  at::Tensor weight;
};

/// A linear layer with bias: `weight` [out, in] and `bias` [out] of a submodule.
class BiasedDense {
 public:
  BiasedDense(torch::nn::Module& owner, std::string name, std::int64_t in, std::int64_t out);
  /// In the type of the product: a bias in fp32 would make fp32 of all that follows.
  [[nodiscard]] at::Tensor forward(const at::Tensor& x) const {
    const at::Tensor y = dense_->forward(x);
    return y + bias_.to(y.scalar_type());
  }

  [[nodiscard]] at::Tensor& weight() { return dense_->weight; }
  [[nodiscard]] at::Tensor& bias() { return bias_; }

 private:
  std::shared_ptr<Dense> dense_;
  at::Tensor bias_;
};

}  // namespace mestre
