// How a cell is trained and on what, and how the work is carried out.
//
// TrainOptions are part of a job's identity; LaunchOptions are not: they change nothing but speed, memory and what is
// written down.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/options.h"

namespace mestre {

/// [train]
struct TrainOptions final : Options {
  std::int64_t tokens = 0;              // the budget; rounded up to whole steps
  std::int64_t sequence_length = 0;     // L
  std::int64_t sequences_per_step = 0;  // of one optimizer step, whatever the micro-batch
  double learning_rate = 4e-4;          // the peak
  double final_learning_rate = 0.1;     // as a share of the peak
  std::string schedule = "cosine";
  double cooldown = 0.2;  // of the schedule wsd: its last part, as a share of the tokens
  std::string cooldown_shape = "linear";
  double warmup = 0.01;            // linear, as a share of the tokens
  std::int64_t warmup_tokens = 0;  // the same as a number; 0: `warmup` says
  std::string optimizer = "adamw";
  std::string precision = "float32";  // of the products; weights, gradients and moments are float32 in any case
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
  std::vector<std::string> no_weight_decay;        // roles of parameters (parameter_role.h) that are not decayed
  std::vector<std::string> learning_rate_factors;  // "embedding: 0.1": of the schedule, for parameters of a role
  double clip_norm = 1.0;                          // of the gradient, over all parameters; 0: no clipping
  std::string on_spike = "stop";          // what is done about a step that must not be taken (core/train/spikes.h)
  double spike_factor = 0;                // a gradient so many times the usual one is such a step; 0: none is
  std::int64_t max_spikes = 100;          // more end the run
  std::int64_t roll_back_interval = 100;  // steps between the checkpoints that a roll back returns to
  std::int64_t seed_init = 3407;
  std::int64_t seed_data = 3407;

  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const;
  [[nodiscard]] std::int64_t tokens_per_step() const { return sequence_length * sequences_per_step; }
  /// Whether matrix products run in bf16.
  [[nodiscard]] bool is_bfloat16() const { return precision == "bfloat16"; }
  /// Optimizer steps of the whole run.
  [[nodiscard]] std::int64_t steps() const { return (tokens + tokens_per_step() - 1) / tokens_per_step(); }
};

/// How an optimizer treats the parameters of one role.
struct ParameterRule {
  double rate = 1;  // factor on the learning rate
  bool decays = true;
  bool operator==(const ParameterRule&) const = default;
};
/// Of options that were checked.
[[nodiscard]] ParameterRule rule_of_role(const TrainOptions& options, std::string_view role);

/// [train] as files may write it: the budget can be given in steps instead of tokens. A spec has tokens alone.
struct TrainSettings final : Options {
  TrainOptions options;
  std::int64_t steps = 0;
  void describe(OptionVisitor& visitor) override;
};

inline constexpr int kOptimizerVersion = 1;  // AdamW with its schedule and clipping
inline constexpr int kSamplerVersion = 1;    // the order of the training blocks

/// [data]: where the text comes from. Paths are relative to the data root.
struct DataOptions final : Options {
  std::string train;         // manifest
  std::string validation;    // manifest
  std::string task;          // that makes the text, in the place of both
  std::string train_digest;  // where given, the manifest must have this digest
  std::string validation_digest;
  void describe(OptionVisitor& visitor) override;
};

/// As micro_batch: the worker takes the largest that fits.
inline constexpr std::int64_t kAutoMicroBatch = kWordValue;

/// [resources]: what a job is given, how its work is cut, and what is looked at and kept on the way.
struct LaunchOptions final : Options {
  std::int64_t gpus = 0;
  std::string gpu;                               // which, for estimates (core/spec/hardware.h); empty: any
  std::int64_t threads = 1;                      // CPU threads of a job, when it has no GPU
  std::int64_t micro_batch = 0;                  // sequences per forward pass; 0: all of a step's; kAutoMicroBatch
  double time = 0;                               // s; limit of wall time, 0: none
  double checkpoint_interval = 60;               // s between checkpoints
  std::int64_t log_interval = 10;                // steps between points of the curves
  std::int64_t layer_interval = 0;               // steps between points of the curves of single layers; 0: none
  std::int64_t validation_interval = 0;          // steps between two looks at the validation text; 0: none
  std::vector<std::int64_t> validation_lengths;  // tokens of context; empty: as trained
  std::int64_t validation_blocks = 16;           // of text that each look reads
  std::int64_t keep_last = 2;                    // checkpoints that stay: the newest
  std::int64_t keep_every = 0;                   // and one in so many steps; 0: none
  bool keep_best = false;                        // and the one with the lowest validation loss
  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const;
};

}  // namespace mestre
