// Perplexity under a context of a given length that slides over long text.
#pragma once

#include "core/tasks/task.h"

namespace mestre {

struct SlidingPerplexityOptions final : TaskOptions {
  std::vector<std::int64_t> lengths;
  std::int64_t window = 4096;
  std::int64_t text = 0;  // 0: all that there is

  [[nodiscard]] std::string_view type() const override { return "sliding_perplexity"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<TaskOptions> clone() const override {
    return std::make_unique<SlidingPerplexityOptions>(*this);
  }
  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const override;
  [[nodiscard]] double tokens(std::int64_t corpus) const override;
  [[nodiscard]] std::int64_t longest() const override;
};

}  // namespace mestre
