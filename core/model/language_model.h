// A language model as its spec describes it: embedding, layers over one residual stream, final norm, head.
//
// Parameters, by the names that our checkpoints hold (never renamed):
//   embedding.weight [V, d]; layers.<i>.norm.weight [d]; layers.<i>.mixer.<of the mixer>; final_norm.weight [d];
//   head.weight [V, d] where untied
// Not thread-safe. fp32 on the CPU; to(at::kDouble) makes a model of attention and MLP layers compute in fp64.
#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "core/model/dense.h"
#include "core/model/mixer_module.h"
#include "core/model/rms_norm.h"
#include "core/spec/model.h"

namespace mestre {

class LanguageModel : public torch::nn::Module {
 public:
  /// Weights are uninitialised: call initialize, or load some. The spec must be resolved.
  explicit LanguageModel(const ModelSpec& spec);

  /// Draws every parameter from the stream of `seed` (train.seed_init).
  void initialize(std::int64_t seed);

  /// tokens [batch, length] int64 to logits [batch, length, V]. Where `residuals` is given, the residual stream behind
  /// each layer is appended.
  [[nodiscard]] at::Tensor forward(const at::Tensor& tokens, std::vector<at::Tensor>* residuals = nullptr);

  [[nodiscard]] const ModelSpec& spec() const { return spec_; }
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

/// Mean cross entropy in nats of logits [batch, length, V] against targets [batch, length].
[[nodiscard]] at::Tensor mean_loss(const at::Tensor& logits, const at::Tensor& targets);

}  // namespace mestre
