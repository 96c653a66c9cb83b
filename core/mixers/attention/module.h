// Causal softmax attention with grouped heads, full or over a sliding window, with or without RoPE; equations in
// README.md beside it.
//
// Parameters: qkv.weight [(h + 2g) p, d] (p = d / h: the query heads, then the key heads, then the value heads);
// out.weight [d, d]; with a short convolution of W taps, qkv_conv1d.weight [(h + 2g) p, W] in the same order.
#pragma once

#include "core/mixers/attention/options.h"
#include "core/model/dense.h"
#include "core/model/mixer_module.h"
#include "core/model/rotation.h"
#include "core/model/short_convolution.h"

namespace mestre {

class AttentionModule final : public MixerModule {
 public:
  AttentionModule(const AttentionOptions& options, const ModelShape& shape);
  [[nodiscard]] at::Tensor forward(const MixerInput& input) override;
  [[nodiscard]] std::unique_ptr<MixerState> start() const override;
  void initialize(const Initializer& initializer) override;

 private:
  /// qkv [B, L, (h + 2g) p] of a whole sequence to [B, L, h p]: one fused operation.
  [[nodiscard]] at::Tensor attend(const at::Tensor& qkv);
  /// The same where tokens came before, or somebody looks.
  [[nodiscard]] at::Tensor attend_step_by_step(const at::Tensor& qkv, const MixerInput& input);

  AttentionOptions options_;
  std::int64_t head_size_;
  double scale_;
  std::shared_ptr<Dense> qkv_;
  std::shared_ptr<ShortConvolution> convolution_;  // depthwise, so one does for q, k and v; nullptr: none
  std::shared_ptr<Dense> out_;
  Rotation rotation_;
};

}  // namespace mestre
