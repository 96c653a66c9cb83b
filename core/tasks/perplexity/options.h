// Perplexity on held-out text at several context lengths: exp of the token-weighted mean negative log-likelihood.
//
// As in the study, the text is cut into blocks of the longest length plus one token; at each length the first tokens of
// every block are read, so that all lengths see the same documents.
#pragma once

#include "core/tasks/task.h"

namespace mestre {

struct PerplexityOptions final : TaskOptions {
  std::vector<std::int64_t> lengths;
  std::int64_t blocks = 0;  // 0: all that the text has

  [[nodiscard]] std::string_view type() const override { return "perplexity"; }
  [[nodiscard]] int version() const override { return 1; }
  [[nodiscard]] std::unique_ptr<TaskOptions> clone() const override {
    return std::make_unique<PerplexityOptions>(*this);
  }
  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const override;
  [[nodiscard]] double tokens(std::int64_t corpus) const override;
  [[nodiscard]] std::int64_t longest() const override;
};

}  // namespace mestre
