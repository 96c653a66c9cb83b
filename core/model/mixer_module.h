// The Torch side of a mixer: what stands in module.{h,cpp} beside its options.
//
// A mixer has three forms that give the same numbers: a whole sequence at once (training), a sequence in pieces, and
// one token after the other (decoding). The latter two carry a MixerState from call to call.
#pragma once

#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "core/model/initialization.h"

namespace mestre {

/// What a mixer remembers of the tokens that it has read: each mixer that looks back derives its own. Owned by whoever
/// generates; belongs to one batch and one module. Where gradients are recorded they flow through it, from one piece to
/// the pieces before.
class MixerState {
 public:
  virtual ~MixerState() = default;
  std::int64_t position = 0;  // tokens read so far
};

/// Sees inside a mixer while it computes, for measurements. The tensors are lent for the call.
class MixerObserver {
 public:
  virtual ~MixerObserver() = default;
  /// Softmax attention: queries [B, L, h, p] and keys [B, S, g, p] as they are multiplied, S >= L, the queries being
  /// the last L positions; each query sees `window` keys, itself included, or all before it where that is 0.
  virtual void saw_attention(const at::Tensor& queries, const at::Tensor& keys, std::int64_t window, double scale) = 0;
  /// S6: Delta [B, L, E], after softplus.
  virtual void saw_delta(const at::Tensor& delta) = 0;
};

/// What a mixer is handed.
struct MixerInput {
  const at::Tensor& x;          // [B, L, width], the normalised residual stream
  const at::Tensor& residual;   // [B, L, width], the stream itself
  MixerState* state = nullptr;  // read on from here, and leave here what the next piece needs; nullptr: from the start
  MixerObserver* observer = nullptr;  // may cost speed, never changes the result beyond rounding
};

/// Maps the residual stream to its update, causally: position t depends on positions up to t alone (evaluation relies
/// on it). Parameters are registered in the constructor, uninitialised; their names stand in checkpoints and are never
/// changed.
class MixerModule : public torch::nn::Module {
 public:
  /// The update, [B, L, width].
  [[nodiscard]] virtual at::Tensor forward(const MixerInput& input) = 0;
  /// The state before the first token, of this module's type; nullptr where a mixer looks at no other token.
  [[nodiscard]] virtual std::unique_ptr<MixerState> start() const { return nullptr; }
  /// Draws every parameter afresh.
  virtual void initialize(const Initializer& initializer) = 0;
};

}  // namespace mestre
