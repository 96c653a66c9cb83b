// The Torch side of a mixer: what stands in module.{h,cpp} beside its options.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "core/model/initialization.h"

namespace mestre {

/// Maps the normalised residual stream to its update, causally: position t depends on positions up to t alone
/// (evaluation relies on it). Parameters are registered in the constructor, uninitialised; their names stand in
/// checkpoints and are never changed.
class MixerModule : public torch::nn::Module {
 public:
  /// x [batch, length, width] to the same shape.
  [[nodiscard]] virtual at::Tensor forward(const at::Tensor& x) = 0;
  /// Draws every parameter afresh.
  virtual void initialize(const Initializer& initializer) = 0;
};

}  // namespace mestre
