// Passkey retrieval: a number hidden in filler text, asked for at the end.
#pragma once

#include "core/tasks/task.h"

namespace mestre {

struct PasskeyOptions final : TaskOptions {
  std::vector<std::int64_t> lengths;
  std::int64_t depths = 11;
  std::int64_t keys = 5;
  std::int64_t digits = 5;
  std::int64_t seed = 3407;

  [[nodiscard]] std::string_view type() const override { return "passkey"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<TaskOptions> clone() const override { return std::make_unique<PasskeyOptions>(*this); }
  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const override;
  [[nodiscard]] double tokens(std::int64_t corpus) const override;
  [[nodiscard]] std::int64_t longest() const override;
};

}  // namespace mestre
