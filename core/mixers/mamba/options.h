// Options and costs of the mamba mixer; equations in README.md beside it.
#pragma once

#include "core/mixers/mixer.h"

namespace mestre {

struct MambaOptions final : MixerOptions {
  std::int64_t expand = 2;       // E = expand * width
  std::int64_t state = 16;       // N
  std::int64_t convolution = 4;  // taps of the causal depthwise convolution
  std::int64_t rank = 0;         // R of the step projection; resolved to ceil(width / 16) where 0

  [[nodiscard]] std::string_view type() const override { return "mamba"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] bool is_observable() const override { return true; }
  [[nodiscard]] std::unique_ptr<MixerOptions> clone() const override { return std::make_unique<MambaOptions>(*this); }
  void describe(OptionVisitor& visitor) override;
  void resolve(const ModelShape& shape) override;
  void check(const ModelShape& shape, const Problem& problem) const override;
  [[nodiscard]] std::int64_t parameters(const ModelShape& shape) const override;
  [[nodiscard]] std::int64_t dense_parameters(const ModelShape& shape) const override;
  [[nodiscard]] double forward_flops(const ModelShape& shape, std::int64_t length) const override;
  [[nodiscard]] double activation_bytes(const ModelShape& shape, std::int64_t length, double element) const override;

  [[nodiscard]] std::int64_t inner(const ModelShape& shape) const { return expand * shape.width; }
};

}  // namespace mestre
