#include "core/tasks/generation/options.h"

#include <algorithm>

#include <fmt/format.h>

namespace mestre {
namespace {

constexpr std::int64_t kWrittenExamples = 8;  // of arXiv 2201.11903, table 20

}  // namespace

void GenerationOptions::describe(OptionVisitor& visitor) {
  visitor.visit(
      {.name = "shots", .doc = "answered items before the one asked", .unit = Unit::kCount, .min = 0, .max = 100},
      shots);
  if (benchmark_ == &kGsm8k)
    visitor.visit({.name = "examples",
                   .doc = "where those come from: the training split, or the eight written as chains of thought",
                   .choices = {"benchmark", "chain_of_thought"}},
                  examples);
  visitor.visit({.name = "new_tokens",
                 .doc = "tokens that are written for an item, at most",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = 1 << 20},
                new_tokens);
  visitor.visit({.name = "temperature", .doc = "of the sampling; 0: greedy", .min = 0, .max = 10}, temperature);
  visitor.visit({.name = "top_p", .doc = "share of the probability that is sampled from", .min = 0, .max = 1}, top_p);
  visitor.visit({.name = "samples", .doc = "answers written for an item", .unit = Unit::kCount, .min = 1, .max = 1e4},
                samples);
  visitor.visit({.name = "seed", .doc = "seed of the sampling", .min = 0, .max = 9007199254740992.0}, seed);
  visitor.visit({.name = "limit",
                 .doc = "items that are scored, from the first on; 0: all",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1e9},
                limit);
  visitor.visit({.name = "context",
                 .doc = "tokens of prompt and answer together; a longer prompt loses its middle",
                 .unit = Unit::kTokens,
                 .min = 2,
                 .max = 1 << 26},
                context);
}

void GenerationOptions::check(const Problem& problem) const {
  if (new_tokens >= context)
    problem("new_tokens", fmt::format("{} new tokens leave no room for a prompt in {}", new_tokens, context),
            "expected fewer than context");
  if (temperature == 0 && samples > 1)
    problem("samples", fmt::format("{} samples of a greedy answer are all the same", samples),
            "expected samples = 1, or a temperature above 0");
  if (examples == "chain_of_thought" && shots > kWrittenExamples)
    problem("shots", fmt::format("{} shots of {} written examples", shots, kWrittenExamples),
            fmt::format("expected at most {}", kWrittenExamples));
}

double GenerationOptions::tokens(std::int64_t) const {
  const std::int64_t items = limit > 0 ? std::min(limit, benchmark_->items) : benchmark_->items;
  const double room = static_cast<double>(context - new_tokens);
  const double prompt = std::min(benchmark_->prompt_tokens * static_cast<double>(1 + shots), room);
  return static_cast<double>(items * samples) * (prompt + static_cast<double>(new_tokens));
}

std::string GenerationOptions::items() const {
  return fmt::format("benchmarks/{}.manifest", benchmark_->name);
}

}  // namespace mestre
