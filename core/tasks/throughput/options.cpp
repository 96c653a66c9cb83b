#include "core/tasks/throughput/options.h"

#include <algorithm>

#include <fmt/format.h>

namespace mestre {
namespace {

constexpr double kLongest = 1 << 26;

void check_ascending(const std::vector<std::int64_t>& lengths, const Problem& problem) {
  for (std::size_t i = 1; i < lengths.size(); ++i)
    if (lengths[i] <= lengths[i - 1])
      problem("lengths", fmt::format("length {} follows {}", lengths[i], lengths[i - 1]),
              "expected ascending lengths, each once");
}

std::int64_t last_of(const std::vector<std::int64_t>& lengths) {
  return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
}

}  // namespace

void TrainingThroughputOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "sequence_length",
                 .doc = "tokens of a sequence; 0: as the cell is trained",
                 .unit = Unit::kTokens,
                 .min = 0,
                 .max = kLongest},
                sequence_length);
  visitor.visit({.name = "sequences_per_step",
                 .doc = "sequences of an optimizer step; 0: as the cell is trained",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1 << 24},
                sequences_per_step);
  visitor.visit({.name = "steps", .doc = "optimizer steps that are timed", .unit = Unit::kCount, .min = 1, .max = 1e6},
                steps);
  visitor.visit(
      {.name = "warmup_steps", .doc = "steps before those, not timed", .unit = Unit::kCount, .min = 0, .max = 1e6},
      warmup_steps);
}

void TrainingThroughputOptions::resolve(const TrainOptions& train) {
  if (sequence_length == 0) sequence_length = train.sequence_length;
  if (sequences_per_step == 0) sequences_per_step = train.sequences_per_step;
}

double TrainingThroughputOptions::tokens(std::int64_t) const {
  return static_cast<double>(sequence_length) * static_cast<double>(sequences_per_step * (steps + warmup_steps));
}

void PromptThroughputOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "lengths",
                 .doc = "tokens of a prompt, ascending",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = kLongest,
                 .required = true},
                lengths);
  visitor.visit({.name = "tokens_per_pass",
                 .doc = "tokens of a measurement, as many prompts as they make",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = kLongest},
                tokens_per_pass);
  visitor.visit({.name = "repeats", .doc = "measurements of each length", .unit = Unit::kCount, .min = 1, .max = 1e4},
                repeats);
}

void PromptThroughputOptions::check(const Problem& problem) const {
  check_ascending(lengths, problem);
  for (const std::int64_t length : lengths)
    if (tokens_per_pass % length != 0)
      problem("lengths", fmt::format("{} tokens are no whole number of prompts of {}", tokens_per_pass, length),
              "expected divisors of tokens_per_pass");
}

double PromptThroughputOptions::tokens(std::int64_t) const {
  constexpr std::int64_t kUntimed = 1;  // the first pass of each length
  return static_cast<double>(tokens_per_pass) * static_cast<double>(repeats + kUntimed) *
         static_cast<double>(lengths.size());
}

std::int64_t PromptThroughputOptions::longest() const {
  return last_of(lengths);
}

void DecodingThroughputOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "lengths",
                 .doc = "tokens that are written, ascending; all lie on one run",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = kLongest,
                 .required = true},
                lengths);
  visitor.visit(
      {.name = "batch", .doc = "sequences that are written together", .unit = Unit::kCount, .min = 1, .max = 1 << 20},
      batch);
  visitor.visit({.name = "prompt",
                 .doc = "tokens before the first one that is written",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = kLongest},
                prompt);
  visitor.visit({.name = "repeats", .doc = "runs", .unit = Unit::kCount, .min = 1, .max = 1e4}, repeats);
}

void DecodingThroughputOptions::check(const Problem& problem) const {
  check_ascending(lengths, problem);
}

double DecodingThroughputOptions::tokens(std::int64_t) const {
  return static_cast<double>(batch) * static_cast<double>(repeats) * static_cast<double>(longest());
}

std::int64_t DecodingThroughputOptions::longest() const {
  return lengths.empty() ? 0 : prompt + last_of(lengths);
}

}  // namespace mestre
