// Benchmarks that are scored on text that a model writes.
#pragma once

#include "core/tasks/generation/benchmarks.h"
#include "core/tasks/task.h"

namespace mestre {

struct GenerationOptions final : TaskOptions {
  std::int64_t shots = 0;
  std::string examples = "benchmark";  // gsm8k only
  std::int64_t new_tokens = 0;
  double temperature = 0;  // 0: greedy
  double top_p = 1;
  std::int64_t samples = 1;  // of each item
  std::int64_t seed = 3407;
  std::int64_t limit = 0;  // 0: all
  std::int64_t context = 0;

  /// `of` outlives the options: one of benchmarks.h.
  explicit GenerationOptions(const GenerationBenchmark& of)
      : shots(of.shots),
        new_tokens(of.new_tokens),
        temperature(of.temperature),
        top_p(of.top_p),
        context(of.context),
        benchmark_(&of) {}
  [[nodiscard]] const GenerationBenchmark& benchmark() const { return *benchmark_; }

  [[nodiscard]] std::string_view type() const override { return benchmark_->name; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<TaskOptions> clone() const override {
    return std::make_unique<GenerationOptions>(*this);
  }
  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const override;
  [[nodiscard]] double tokens(std::int64_t corpus) const override;
  [[nodiscard]] std::int64_t longest() const override { return context; }
  [[nodiscard]] std::string items() const override;

 private:
  const GenerationBenchmark* benchmark_;
};

}  // namespace mestre
