// Causal softmax attention with grouped heads, full or over a sliding window, with or without RoPE.
//
// Parameters: qkv.weight [(h + 2g) p, d] (p = d / h: the query heads, then the key heads, then the value heads);
// out.weight [d, d]; with a short convolution of W taps, qkv_conv1d.weight [(h + 2g) p, W] in the same order. RoPE
// pairs element j of a head with element j + p/2 and turns the pair by t base^(-2j/p), in fp32 (the angles in fp64).
// Query head j reads key-value head floor(j g / h). A window of w shows a query exactly w keys, itself included.
#pragma once

#include "core/mixers/attention/options.h"
#include "core/model/dense.h"
#include "core/model/mixer_module.h"
#include "core/model/short_convolution.h"

namespace mestre {

class AttentionModule final : public MixerModule {
 public:
  AttentionModule(const AttentionOptions& options, const ModelShape& shape);
  [[nodiscard]] at::Tensor forward(const at::Tensor& x) override;
  void initialize(const Initializer& initializer) override;

 private:
  /// Fills in cosines_ and sines_ for sequences as long as x.
  void prepare_rotation(const at::Tensor& x);

  AttentionOptions options_;
  std::int64_t head_size_;
  std::shared_ptr<Dense> qkv_;
  std::shared_ptr<ShortConvolution> convolution_;  // depthwise, so one does for q, k and v; nullptr: none
  std::shared_ptr<Dense> out_;
  at::Tensor cosines_, sines_;  // [length, p/2] of the longest sequence so far
};

}  // namespace mestre
