#include "core/tasks/multiple_choice/options.h"

#include <algorithm>

#include <fmt/format.h>

namespace mestre {

void MultipleChoiceOptions::describe(OptionVisitor& visitor) {
  visitor.visit(
      {.name = "shots", .doc = "answered items before the one asked", .unit = Unit::kCount, .min = 0, .max = 100},
      shots);
  visitor.visit({.name = "normalization",
                 .doc = "what an answer's log-likelihood is divided by",
                 .choices = {"none", "characters", "tokens"}},
                normalization);
  visitor.visit({.name = "limit",
                 .doc = "items that are scored, from the first on; 0: all",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1e9},
                limit);
  visitor.visit({.name = "context",
                 .doc = "tokens that the model reads; a longer prompt loses its beginning",
                 .unit = Unit::kTokens,
                 .min = 2,
                 .max = 1 << 26},
                context);
}

double MultipleChoiceOptions::tokens(std::int64_t) const {
  const std::int64_t items = limit > 0 ? std::min(limit, benchmark_->items) : benchmark_->items;
  const double prompt = benchmark_->item_tokens * static_cast<double>(1 + shots);
  return static_cast<double>(items) * benchmark_->choices * std::min(prompt, static_cast<double>(context));
}

std::string MultipleChoiceOptions::items() const {
  return fmt::format("benchmarks/{}.manifest", benchmark_->name);
}

}  // namespace mestre
