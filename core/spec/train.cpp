#include "core/spec/train.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/spec/hardware.h"
#include "core/spec/parameter_role.h"

namespace mestre {
namespace {

struct RoleFactor {
  std::string_view role;
  double factor = 0;
};

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// "embedding: 0.1"; nothing where it is not of this form.
std::optional<RoleFactor> parse_factor(std::string_view text) {
  const std::size_t sign = text.find(':');
  if (sign == std::string_view::npos) return std::nullopt;
  RoleFactor parsed{.role = trimmed(text.substr(0, sign))};
  const std::string_view number = trimmed(text.substr(sign + 1));
  const char* end = number.data() + number.size();
  const auto read = std::from_chars(number.data(), end, parsed.factor);
  const bool good = read.ec == std::errc() && read.ptr == end && std::isfinite(parsed.factor) && parsed.factor >= 0;
  return good ? std::optional(parsed) : std::nullopt;
}

void check_factors(const std::vector<std::string>& factors, const Problem& problem) {
  std::set<std::string_view> seen;
  const auto& roles = parameter_roles();
  for (const std::string& text : factors) {
    const std::optional<RoleFactor> parsed = parse_factor(text);
    if (!parsed) {
      problem("learning_rate_factors", fmt::format("'{}' is not a role and a factor", escaped(text)),
              R"(expected a form like "embedding: 0.1", the factor at least 0)");
    } else if (std::find(roles.begin(), roles.end(), parsed->role) == roles.end()) {
      problem("learning_rate_factors", fmt::format("unknown role '{}'", escaped(parsed->role)),
              expected_one_of(parsed->role, {roles.begin(), roles.end()}));
    } else if (!seen.insert(parsed->role).second) {
      problem("learning_rate_factors", fmt::format("two factors for the role '{}'", parsed->role), "expected one");
    }
  }
}

}  // namespace

ParameterRule rule_of_role(const TrainOptions& options, std::string_view role) {
  ParameterRule rule;
  const auto& spared = options.no_weight_decay;
  rule.decays = std::find(spared.begin(), spared.end(), role) == spared.end();
  for (const std::string& text : options.learning_rate_factors)
    if (const auto parsed = parse_factor(text); parsed && parsed->role == role) rule.rate = parsed->factor;
  return rule;
}

void TrainOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "tokens",
                 .doc = "training budget, rounded up to whole steps; either this or steps",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = 1e18},
                tokens);
  visitor.visit({.name = "sequence_length",
                 .doc = "tokens of context that the model sees",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = 1 << 26,
                 .required = true},
                sequence_length);
  visitor.visit({.name = "sequences_per_step",
                 .doc = "sequences of one optimizer step, whatever the micro-batch",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 1 << 24,
                 .required = true},
                sequences_per_step);
  visitor.visit({.name = "learning_rate", .doc = "peak of the schedule", .min = 0, .max = 10}, learning_rate);
  visitor.visit(
      {.name = "final_learning_rate", .doc = "end of the schedule, as a share of the peak", .min = 0, .max = 1},
      final_learning_rate);
  visitor.visit({.name = "schedule",
                 .doc = "shape after the warm-up; wsd: the peak, then a cooldown",
                 .choices = {"cosine", "constant", "wsd"}},
                schedule);
  visitor.visit({.name = "cooldown",
                 .doc = "last part of the schedule wsd, as a share of the tokens",
                 .min = 0,
                 .max = 1,
                 .legacy = "0.2"},
                cooldown);
  visitor.visit({.name = "cooldown_shape",
                 .doc = "how it goes down: linear, or as 1 - sqrt",
                 .choices = {"linear", "sqrt"},
                 .legacy = R"("linear")"},
                cooldown_shape);
  visitor.visit({.name = "warmup", .doc = "linear warm-up, as a share of the tokens", .min = 0, .max = 1}, warmup);
  visitor.visit({.name = "warmup_tokens",
                 .doc = "the same as a number; 0: warmup says",
                 .unit = Unit::kTokens,
                 .min = 0,
                 .max = 1e18,
                 .legacy = "0"},
                warmup_tokens);
  visitor.visit({.name = "optimizer", .doc = "update rule", .choices = {"adamw"}}, optimizer);
  visitor.visit({.name = "precision",
                 .doc = "of the products; bfloat16: autocast over weights in float32",
                 .choices = {"float32", "bfloat16"}},
                precision);
  visitor.visit({.name = "beta1", .doc = "decay of the first moment", .min = 0, .max = 1}, beta1);
  visitor.visit({.name = "beta2", .doc = "decay of the second moment", .min = 0, .max = 1}, beta2);
  visitor.visit({.name = "epsilon", .doc = "added to the root of the second moment", .min = 0, .max = 1}, epsilon);
  visitor.visit({.name = "weight_decay",
                 .doc = "decoupled, on all parameters that no_weight_decay does not name",
                 .min = 0,
                 .max = 10},
                weight_decay);
  visitor.visit(
      {.name = "no_weight_decay", .doc = "roles that are not decayed", .choices = parameter_roles(), .legacy = "[]"},
      no_weight_decay);
  visitor.visit(
      {.name = "learning_rate_factors", .doc = R"(factors on the rate of a role, as "embedding: 0.1")", .legacy = "[]"},
      learning_rate_factors);
  visitor.visit({.name = "clip_norm", .doc = "largest global norm of the gradient; 0: no clipping", .min = 0},
                clip_norm);
  visitor.visit({.name = "on_spike",
                 .doc = "what is done where loss or gradient spike or are not finite",
                 .choices = {"stop", "skip", "roll_back"},
                 .legacy = R"("stop")"},
                on_spike);
  visitor.visit({.name = "spike_factor",
                 .doc = "gradient norm that is a spike, as a multiple of the usual; 0: none is",
                 .min = 0,
                 .max = 1e9,
                 .legacy = "0"},
                spike_factor);
  visitor.visit({.name = "max_spikes",
                 .doc = "spikes that are passed over; one more ends the run",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1e9,
                 .legacy = "100"},
                max_spikes);
  visitor.visit({.name = "roll_back_interval",
                 .doc = "steps between the checkpoints that a roll back returns to",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 1e9,
                 .legacy = "100"},
                roll_back_interval);
  visitor.visit({.name = "seed_init", .doc = "seed of the initial weights", .min = 0, .max = 9007199254740992.0},
                seed_init);
  visitor.visit({.name = "seed_data", .doc = "seed of the order of the data", .min = 0, .max = 9007199254740992.0},
                seed_data);
}

void TrainOptions::check(const Problem& problem) const {
  if (sequence_length > 0 && sequences_per_step > 0 && tokens > 0 && tokens < tokens_per_step())
    problem("tokens",
            fmt::format("{} tokens are less than one step of {} sequences x {} tokens", tokens, sequences_per_step,
                        sequence_length),
            "expected at least " + std::to_string(tokens_per_step()));
  if (warmup_tokens > tokens && tokens > 0)
    problem("warmup_tokens", fmt::format("a warm-up of {} tokens in a training of {}", warmup_tokens, tokens),
            "expected fewer than train.tokens");
  const double warm = warmup_tokens > 0 ? static_cast<double>(warmup_tokens) / static_cast<double>(tokens) : warmup;
  if (schedule == "wsd" && warm + cooldown > 1)
    problem("cooldown",
            fmt::format("a cooldown of {} behind a warm-up of {} is more than the whole", cooldown, rounded(warm)),
            "expected shares of at most 1 together");
  check_factors(learning_rate_factors, problem);
  if (beta1 == 1 || beta2 == 1)
    problem(beta1 == 1 ? "beta1" : "beta2", "a decay of 1 never learns", "expected less than 1");
}

void TrainSettings::describe(OptionVisitor& visitor) {
  options.describe(visitor);
  visitor.visit({.name = "steps",
                 .doc = "training budget in optimizer steps; either this or tokens",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 1e12},
                steps);
}

void DataOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "train", .doc = "manifest of the training text, relative to the data root"}, train);
  visitor.visit({.name = "validation", .doc = "manifest of the text for evaluations"}, validation);
  visitor.visit({.name = "task", .doc = "task that makes the text, in the tokenizer of data.train"}, task);
  visitor.visit({.name = "train_digest", .doc = "digest that the training manifest must have"}, train_digest);
  visitor.visit({.name = "validation_digest", .doc = "digest that the validation manifest must have"},
                validation_digest);
}

void LaunchOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "gpus", .doc = "GPUs of a job; 0: on the CPU", .unit = Unit::kCount, .min = 0, .max = 4096},
                gpus);
  visitor.visit({.name = "gpu", .doc = "which GPU, for estimates of time and memory", .choices = gpu_names()}, gpu);
  visitor.visit({.name = "threads", .doc = "CPU threads of a job", .unit = Unit::kCount, .min = 1, .max = 1024},
                threads);
  visitor.visit({.name = "micro_batch",
                 .doc = "sequences per forward pass; 0: all of a step's; auto: as many as fit",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1 << 24,
                 .word = "auto"},
                micro_batch);
  visitor.visit({.name = "time", .doc = "limit of a job's wall time; 0s: none", .unit = Unit::kSeconds, .min = 0},
                time);
  visitor.visit({.name = "checkpoint_interval", .doc = "time between checkpoints", .unit = Unit::kSeconds, .min = 0},
                checkpoint_interval);
  visitor.visit(
      {.name = "log_interval", .doc = "steps between points of the curves", .unit = Unit::kCount, .min = 1, .max = 1e9},
      log_interval);
  visitor.visit({.name = "layer_interval",
                 .doc = "steps between points of single layers; 0: none",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1e9,
                 .legacy = "0"},
                layer_interval);
  visitor.visit({.name = "validation_interval",
                 .doc = "steps between two losses on data.validation; 0: none",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1e9,
                 .legacy = "0"},
                validation_interval);
  visitor.visit({.name = "validation_lengths",
                 .doc = "context lengths of these losses, ascending; empty: as trained",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = 1 << 26,
                 .legacy = "[]"},
                validation_lengths);
  visitor.visit({.name = "validation_blocks",
                 .doc = "blocks of text that each of these losses is over",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 1e9,
                 .legacy = "16"},
                validation_blocks);
  visitor.visit({.name = "keep_last",
                 .doc = "checkpoints that stay: so many of the newest",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 1e6,
                 .legacy = "2"},
                keep_last);
  visitor.visit({.name = "keep_every",
                 .doc = "and those at multiples of so many steps; 0: none",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1e9,
                 .legacy = "0"},
                keep_every);
  visitor.visit({.name = "keep_best", .doc = "and the one with the lowest validation loss", .legacy = "false"},
                keep_best);
}

void LaunchOptions::check(const Problem& problem) const {
  for (std::size_t i = 1; i < validation_lengths.size(); ++i)
    if (validation_lengths[i] <= validation_lengths[i - 1])
      problem("validation_lengths",
              fmt::format("context length {} follows {}", validation_lengths[i], validation_lengths[i - 1]),
              "expected ascending lengths, each once");
  if (keep_best && validation_interval == 0)
    problem("keep_best", "the best checkpoint of a training that is not validated",
            "expected resources.validation_interval besides");
}

}  // namespace mestre
