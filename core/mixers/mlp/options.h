// Options and costs of the mlp mixer; equations in README.md beside it.
#pragma once

#include "core/mixers/mixer.h"

namespace mestre {

struct MlpOptions final : MixerOptions {
  std::int64_t intermediate = 0;  // p

  [[nodiscard]] std::string_view type() const override { return "mlp"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<MixerOptions> clone() const override { return std::make_unique<MlpOptions>(*this); }
  void describe(OptionVisitor& visitor) override;
  void check(const ModelShape& shape, const Problem& problem) const override;
  [[nodiscard]] std::int64_t parameters(const ModelShape& shape) const override;
  [[nodiscard]] std::int64_t dense_parameters(const ModelShape& shape) const override;
  [[nodiscard]] double forward_flops(const ModelShape& shape, std::int64_t length) const override;
  [[nodiscard]] double activation_bytes(const ModelShape& shape, std::int64_t length, double element) const override;
};

}  // namespace mestre
