// LAMBADA: the last word of a passage.
#pragma once

#include "core/tasks/task.h"

namespace mestre {

struct LambadaOptions final : TaskOptions {
  std::int64_t limit = 0;  // 0: all
  std::int64_t context = 4096;

  [[nodiscard]] std::string_view type() const override { return "lambada"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<TaskOptions> clone() const override { return std::make_unique<LambadaOptions>(*this); }
  void describe(OptionVisitor& visitor) override;
  void check(const Problem&) const override {}
  [[nodiscard]] double tokens(std::int64_t corpus) const override;
  [[nodiscard]] std::int64_t longest() const override { return context; }
  [[nodiscard]] std::string items() const override { return "benchmarks/lambada.manifest"; }
};

}  // namespace mestre
