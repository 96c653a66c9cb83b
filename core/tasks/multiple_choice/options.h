// Benchmarks that are scored by which of the given answers a model finds most likely.
#pragma once

#include "core/tasks/multiple_choice/benchmarks.h"
#include "core/tasks/task.h"

namespace mestre {

struct MultipleChoiceOptions final : TaskOptions {
  std::int64_t shots = 0;
  std::string normalization;
  std::int64_t limit = 0;  // 0: all
  std::int64_t context = 4096;

  /// `of` outlives the options: one of benchmarks.h.
  explicit MultipleChoiceOptions(const ChoiceBenchmark& of)
      : shots(of.shots), normalization(of.normalization), benchmark_(&of) {}
  [[nodiscard]] const ChoiceBenchmark& benchmark() const { return *benchmark_; }

  [[nodiscard]] std::string_view type() const override { return benchmark_->name; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<TaskOptions> clone() const override {
    return std::make_unique<MultipleChoiceOptions>(*this);
  }
  void describe(OptionVisitor& visitor) override;
  void check(const Problem&) const override {}
  [[nodiscard]] double tokens(std::int64_t corpus) const override;
  [[nodiscard]] std::int64_t longest() const override { return context; }
  [[nodiscard]] std::string items() const override;

 private:
  const ChoiceBenchmark* benchmark_;
};

}  // namespace mestre
