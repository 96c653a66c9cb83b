// Options and costs of the mega_s6 mixer; equations in README.md beside it.
#pragma once

#include "core/mixers/mixer.h"

namespace mestre {

struct MegaS6Options final : MixerOptions {
  std::int64_t chunk = 2048;     // tokens that attend to each other; chunks do not overlap
  std::int64_t key_size = 128;   // z, of the one head's queries and keys
  std::int64_t state = 16;       // N of S6, whose inner width is the model's
  std::int64_t convolution = 4;  // taps of S6's causal depthwise convolution
  std::int64_t rank = 0;         // R of S6's step projection; resolved to ceil(width / 32) where 0

  [[nodiscard]] std::string_view type() const override { return "mega_s6"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] bool is_observable() const override { return true; }
  [[nodiscard]] std::unique_ptr<MixerOptions> clone() const override { return std::make_unique<MegaS6Options>(*this); }
  void describe(OptionVisitor& visitor) override;
  void resolve(const ModelShape& shape) override;
  void check(const ModelShape& shape, const Problem& problem) const override;
  [[nodiscard]] std::int64_t parameters(const ModelShape& shape) const override;
  [[nodiscard]] std::int64_t dense_parameters(const ModelShape& shape) const override;
  [[nodiscard]] double forward_flops(const ModelShape& shape, std::int64_t length) const override;
  [[nodiscard]] double activation_bytes(const ModelShape& shape, std::int64_t length, double element) const override;

  /// Mean over the queries of a sequence of the number of keys that the mask leaves.
  [[nodiscard]] double mean_visible_keys(std::int64_t length) const;
};

}  // namespace mestre
