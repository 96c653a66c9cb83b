#include "core/tasks/perplexity/options.h"

#include <algorithm>

#include <fmt/format.h>

namespace mestre {

void PerplexityOptions::describe(OptionVisitor& visitor) {
  visitor.visit(
      {.name = "lengths", .doc = "context lengths, ascending", .unit = Unit::kTokens, .min = 1, .required = true},
      lengths);
  visitor.visit({.name = "blocks", .doc = "blocks of text that are read; 0: all", .unit = Unit::kCount, .min = 0},
                blocks);
}

void PerplexityOptions::check(const Problem& problem) const {
  for (std::size_t i = 1; i < lengths.size(); ++i)
    if (lengths[i] <= lengths[i - 1])
      problem("lengths", fmt::format("context length {} follows {}", lengths[i], lengths[i - 1]),
              "expected ascending lengths, each once");
}

double PerplexityOptions::tokens() const {
  double sum = 0;
  for (const std::int64_t length : lengths) sum += static_cast<double>(length);
  return sum * static_cast<double>(std::max<std::int64_t>(blocks, 1));
}

std::int64_t PerplexityOptions::longest() const {
  return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
}

}  // namespace mestre
