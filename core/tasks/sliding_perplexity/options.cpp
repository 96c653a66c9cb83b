#include "core/tasks/sliding_perplexity/options.h"

#include <algorithm>

#include <fmt/format.h>

namespace mestre {

void SlidingPerplexityOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "lengths",
                 .doc = "tokens that one pass reads, ascending",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = 1 << 26,
                 .required = true},
                lengths);
  visitor.visit({.name = "window",
                 .doc = "last tokens of a pass that are scored; the next pass begins so much later",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = 1 << 26},
                window);
  visitor.visit({.name = "text",
                 .doc = "tokens of text that are scored at each length; 0: all",
                 .unit = Unit::kTokens,
                 .min = 0,
                 .max = 1e12},
                text);
}

void SlidingPerplexityOptions::check(const Problem& problem) const {
  for (std::size_t i = 1; i < lengths.size(); ++i)
    if (lengths[i] <= lengths[i - 1])
      problem("lengths", fmt::format("context length {} follows {}", lengths[i], lengths[i - 1]),
              "expected ascending lengths, each once");
  if (!lengths.empty() && window > lengths.front())
    problem("window", fmt::format("a window of {} tokens in a context of {}", window, lengths.front()),
            fmt::format("expected at most the shortest context, {}", lengths.front()));
  if (text > 0 && text < longest())
    problem("text", fmt::format("{} tokens of text for a context of {}", text, longest()),
            fmt::format("expected at least the longest context, {}, or 0 for all", longest()));
}

double SlidingPerplexityOptions::tokens(std::int64_t corpus) const {
  const std::int64_t scored = text > 0 ? (corpus > 0 ? std::min(text, corpus) : text) : corpus;
  double read = 0;
  for (const std::int64_t length : lengths) {
    const std::int64_t rest = std::max<std::int64_t>(0, scored - length);
    const std::int64_t passes = 1 + (rest + window - 1) / window;
    read += static_cast<double>(passes) * static_cast<double>(length);
  }
  return read;
}

std::int64_t SlidingPerplexityOptions::longest() const {
  return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
}

}  // namespace mestre
