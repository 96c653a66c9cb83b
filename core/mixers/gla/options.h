// Options and costs of the gla mixer; equations in README.md beside it.
#pragma once

#include "core/mixers/expanded_heads.h"
#include "core/mixers/mixer.h"

namespace mestre {

struct GlaOptions final : MixerOptions {
  std::int64_t heads = 0;              // h
  double key_expansion = 0.5;          // K = key_expansion * width, all heads together
  double value_expansion = 1;          // V = value_expansion * width, the same
  std::int64_t gate_rank = 16;         // between the two projections of the decay
  double gate_temperature = 16;        // divides the decay's logarithm
  std::int64_t short_convolution = 0;  // taps on queries, keys and values; 0: none

  [[nodiscard]] std::string_view type() const override { return "gla"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<MixerOptions> clone() const override { return std::make_unique<GlaOptions>(*this); }
  void describe(OptionVisitor& visitor) override;
  void check(const ModelShape& shape, const Problem& problem) const override;
  [[nodiscard]] std::int64_t parameters(const ModelShape& shape) const override;
  [[nodiscard]] std::int64_t dense_parameters(const ModelShape& shape) const override;
  [[nodiscard]] double forward_flops(const ModelShape& shape, std::int64_t length) const override;
  [[nodiscard]] double activation_bytes(const ModelShape& shape, std::int64_t length, double element) const override;

  [[nodiscard]] ExpandedHeads sizes(const ModelShape& shape) const {
    return expanded_heads(shape, heads, key_expansion, value_expansion);
  }
};

}  // namespace mestre
