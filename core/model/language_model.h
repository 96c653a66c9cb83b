// A language model as its spec describes it: embedding, layers over one residual stream, final norm, head.
//
// Parameters, by the names that our checkpoints hold (never renamed):
//   embedding.weight [V, d]; layers.<i>.norm.weight [d]; layers.<i>.mixer.<of the mixer>; final_norm.weight [d];
//   head.weight [V, d] where untied
// Not thread-safe. fp32 as it is built; to(at::kDouble) makes it compute in fp64, to(device) there.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "core/model/dense.h"
#include "core/model/mixer_module.h"
#include "core/model/rms_norm.h"
#include "core/spec/model.h"

namespace mestre {

/// What a model remembers of the tokens that it has read, one state a layer (nullptr where a layer needs none).
using ModelState = std::vector<std::unique_ptr<MixerState>>;

/// How a model is run where it is not trained.
struct ForwardOptions {
  ModelState* state = nullptr;                                     // of start(): read on from there
  std::vector<at::Tensor>* residuals = nullptr;                    // the residual stream behind each layer is appended
  std::function<MixerObserver*(std::size_t layer)> observer = {};  // who looks into a layer; may be nullptr
  bool last_position_only = false;                                 // logits [batch, 1, V]
};

class LanguageModel : public torch::nn::Module {
 public:
  /// Weights are uninitialised: call initialize, or load some. The spec must be resolved.
  explicit LanguageModel(const ModelSpec& spec);

  /// Draws every parameter from the stream of `seed` (train.seed_init).
  void initialize(std::int64_t seed);

  /// tokens [batch, length] int64 to logits [batch, length, V].
  [[nodiscard]] at::Tensor forward(const at::Tensor& tokens, const ForwardOptions& options = {});
  /// The state before the first token. Passed to forward piece by piece, with pieces of any lengths, it gives the
  /// logits of the whole; memory grows with the sequence only where a layer sees all of it.
  [[nodiscard]] ModelState start() const;

  [[nodiscard]] const ModelSpec& spec() const { return spec_; }
  [[nodiscard]] std::size_t layer_count() const { return layers_.size(); }
  /// Elements of all parameters; equals spec().parameters().
  [[nodiscard]] std::int64_t parameter_count() const;

 private:
  struct Layer {
    std::shared_ptr<RmsNorm> norm;
    std::shared_ptr<MixerModule> mixer;
  };

  ModelSpec spec_;
  std::shared_ptr<Dense> embedding_;  // only its weight is used, as rows
  std::vector<Layer> layers_;
  std::shared_ptr<RmsNorm> final_norm_;
  std::shared_ptr<Dense> head_;  // the embedding where it is tied
};

/// Cross entropy in nats of each target [batch, length] under logits [batch, length, V], fp32 or bf16; in fp32.
[[nodiscard]] at::Tensor losses(const at::Tensor& logits, const at::Tensor& targets);
/// Their mean.
[[nodiscard]] at::Tensor mean_loss(const at::Tensor& logits, const at::Tensor& targets);

}  // namespace mestre
