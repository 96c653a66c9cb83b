#include "core/tasks/perplexity/options.h"

#include <algorithm>

#include <fmt/format.h>

namespace mestre {

void PerplexityOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "lengths",
                 .doc = "context lengths, ascending",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = 1 << 26,
                 .required = true},
                lengths);
  visitor.visit(
      {.name = "blocks", .doc = "blocks of text that are read; 0: all", .unit = Unit::kCount, .min = 0, .max = 1e12},
      blocks);
}

void PerplexityOptions::check(const Problem& problem) const {
  for (std::size_t i = 1; i < lengths.size(); ++i)
    if (lengths[i] <= lengths[i - 1])
      problem("lengths", fmt::format("context length {} follows {}", lengths[i], lengths[i - 1]),
              "expected ascending lengths, each once");
}

double PerplexityOptions::tokens(std::int64_t corpus) const {
  const std::int64_t whole = corpus / (longest() + 1);
  const std::int64_t read = blocks > 0 ? std::min(blocks, whole) : whole;
  return static_cast<double>(longest()) * static_cast<double>(read);  // one pass serves all lengths
}

std::int64_t PerplexityOptions::longest() const {
  return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
}

}  // namespace mestre
