// AdamW (arXiv 1711.05101) over all parameters of a model, with clipping of the gradient's global norm:
//
//   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w = (1 - rate decay) w - rate (m / (1 - b1^t)) / (sqrt(v / (1 -
//   b2^t)) + epsilon)
//
// The decay is decoupled and applies to every parameter, norms and biases too, as the study has it, unless
// no_weight_decay names its role; learning_rate_factors scale `rate` by role, in the decay too. All values, gradients
// and moments lie in one row each, of which the model's parameters and their gradients become views: one loop updates
// everything. Deterministic; on the CPU sums of squares are in fp64, in an order that does not depend on the number of
// threads. fp32 parameters, on the CPU or a GPU. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "core/model/safetensors.h"
#include "core/spec/train.h"

namespace mestre {

class AdamW {
 public:
  /// Takes over the storage of the model's parameters, keeping their values; all lie on one device. The model must
  /// outlive this, stay there and get no other parameters.
  AdamW(torch::nn::Module& model, const TrainOptions& options);

  /// Backward passes add to the gradients until the next call.
  void zero_gradients();
  /// The norm of all gradients together, before clipping.
  [[nodiscard]] double gradient_norm() const;
  /// Clips by `norm` (what gradient_norm returned) and applies one update.
  void update(double learning_rate, double norm);

  /// Updates so far.
  [[nodiscard]] std::int64_t updates() const { return updates_; }
  /// `first_moment.<parameter>`, `second_moment.<parameter>`: views.
  [[nodiscard]] std::vector<NamedTensor> moments() const;
  /// Takes the moments back after `updates` updates. Throws Error (checkpoint_corrupt) where one is missing or of
  /// another shape.
  void restore(const Safetensors& file, std::int64_t updates);

 private:
  struct Place {
    std::string name;
    std::int64_t begin;
    std::vector<std::int64_t> sizes;
  };
  // Parameters beside each other that one rule holds for.
  struct Stretch {
    ParameterRule rule;
    std::int64_t begin, count;
  };
  void add_to_stretches(const Place& place, std::int64_t count);
  [[nodiscard]] at::Tensor view(const at::Tensor& row, const Place& place) const;
  void update_on_cpu(double learning_rate, double scale);
  void update_on_gpu(double learning_rate, double scale);

  TrainOptions options_;
  std::vector<Place> places_;
  std::vector<Stretch> stretches_;
  at::Tensor values_, gradients_, first_moments_, second_moments_;  // [number of parameters]
  std::int64_t updates_ = 0;
};

/// Copies a tensor of `file` into `target`. Throws Error (checkpoint_corrupt) where it is missing or of another shape
/// or type.
void copy_from(const Safetensors& file, const std::string& name, at::Tensor target);

}  // namespace mestre
