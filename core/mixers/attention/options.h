// Options and costs of the attention mixer; equations in README.md beside it.
#pragma once

#include "core/mixers/mixer.h"

namespace mestre {

struct AttentionOptions final : MixerOptions {
  std::int64_t heads = 0;     // h, query heads
  std::int64_t kv_heads = 0;  // g, key-value heads; resolved to heads where 0
  std::int64_t window = 0;    // keys that a query sees, itself included; 0: all up to itself
  bool rope = true;
  double rope_base = 10000;
  std::int64_t short_convolution = 0;  // taps on queries, keys and values; 0: none

  [[nodiscard]] std::string_view type() const override { return "attention"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] bool is_observable() const override { return true; }
  [[nodiscard]] std::unique_ptr<MixerOptions> clone() const override {
    return std::make_unique<AttentionOptions>(*this);
  }
  void describe(OptionVisitor& visitor) override;
  void resolve(const ModelShape& shape) override;
  void check(const ModelShape& shape, const Problem& problem) const override;
  [[nodiscard]] std::int64_t parameters(const ModelShape& shape) const override;
  [[nodiscard]] std::int64_t dense_parameters(const ModelShape& shape) const override;
  [[nodiscard]] double forward_flops(const ModelShape& shape, std::int64_t length) const override;
  [[nodiscard]] double activation_bytes(const ModelShape& shape, std::int64_t length, double element) const override;

  /// Elements of one head.
  [[nodiscard]] std::int64_t head_size(const ModelShape& shape) const { return shape.width / heads; }
  /// Channels of the queries, keys and values.
  [[nodiscard]] std::int64_t channels(const ModelShape& shape) const {
    return head_size(shape) * (heads + 2 * kv_heads);
  }
  /// Mean over the queries of a sequence of the number of keys that the mask leaves.
  [[nodiscard]] double mean_visible_keys(std::int64_t length) const;
};

}  // namespace mestre
