// Phonebook look-up: one number recalled from a list of names with numbers.
#pragma once

#include "core/tasks/task.h"

namespace mestre {

struct PhonebookOptions final : TaskOptions {
  std::vector<std::int64_t> pairs;
  std::int64_t books = 100;
  std::int64_t shots = 2;
  std::int64_t seed = 3407;

  [[nodiscard]] std::string_view type() const override { return "phonebook"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<TaskOptions> clone() const override {
    return std::make_unique<PhonebookOptions>(*this);
  }
  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const override;
  [[nodiscard]] double tokens(std::int64_t corpus) const override;
  [[nodiscard]] std::int64_t longest() const override;
};

}  // namespace mestre
