// How widely attention and selection spread, layer by layer.
#pragma once

#include "core/tasks/task.h"

namespace mestre {

struct EntropyOptions final : TaskOptions {
  std::int64_t samples = 100;
  std::int64_t new_tokens = 256;
  std::int64_t context = 4096;
  std::int64_t seed = 3407;

  [[nodiscard]] std::string_view type() const override { return "entropy"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<TaskOptions> clone() const override { return std::make_unique<EntropyOptions>(*this); }
  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const override;
  [[nodiscard]] double tokens(std::int64_t corpus) const override;
  [[nodiscard]] std::int64_t longest() const override { return context; }
  [[nodiscard]] std::string misfit(const ModelSpec& model) const override;
  [[nodiscard]] std::int64_t least_text() const override { return samples * text_tokens(); }

  /// Tokens of a text before its answer.
  [[nodiscard]] std::int64_t text_tokens() const { return context - new_tokens; }
};

}  // namespace mestre
