// What gla and retention share around their recurrences: packed projections, the short convolution, and the normalised,
// gated output.
//
//   [q, k, v, g] = X W;  q, k, v = SiLU(causal depthwise conv(.)) where asked;  O = (RMSNorm_dv(o) * SiLU(g)) W_o
#pragma once

#include <memory>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "core/mixers/expanded_heads.h"
#include "core/model/dense.h"
#include "core/model/initialization.h"
#include "core/model/short_convolution.h"

namespace mestre {

class GatedHeads {
 public:
  /// Registers its parameters on the mixer: qkvg.weight [2K + 2V, d], the rows of queries, keys, values and gates;
  /// qkv_conv1d.weight [2K + V, taps] where taps > 0; norm.weight [dv], one for all heads; out.weight [d, V].
  GatedHeads(torch::nn::Module& mixer, const ExpandedHeads& sizes, std::int64_t width, std::int64_t taps);

  struct Projected {
    at::Tensor q, k;  // [B, L, H, dk]
    at::Tensor v, g;  // [B, L, H, dv]
  };
  /// x [B, L, d]; `inputs` as ShortConvolution takes it.
  [[nodiscard]] Projected project(const at::Tensor& x, at::Tensor* inputs) const;
  /// o, g [B, L, H, dv] to the update [B, L, d].
  [[nodiscard]] at::Tensor combine(const at::Tensor& o, const at::Tensor& g) const;
  void initialize(const Initializer& initializer);

 private:
  ExpandedHeads sizes_;
  std::shared_ptr<Dense> qkvg_;
  std::shared_ptr<ShortConvolution> convolution_;  // nullptr: none
  at::Tensor norm_weight_;
  std::shared_ptr<Dense> out_;
};

/// A projection of linear attention as the study starts it: where the scheme leaves linear layers to themselves, Xavier
/// uniform with a gain of 2^-2.5, else the scheme's (paper, section 2).
void initialize_projection(const Initializer& initializer, std::string_view name, at::Tensor& weight);

}  // namespace mestre
