// What training and evaluating cost, from options alone. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/plan/plan.h"
#include "core/spec/hardware.h"
#include "core/spec/model.h"
#include "core/tasks/task.h"

namespace mestre {

/// What a model costs at one length; computing it walks over all layers, so callers keep it.
struct ModelCost {
  std::int64_t parameters = 0;
  std::int64_t parameters_without_embeddings = 0;
  std::int64_t layers = 0;
  double forward_flops = 0;     // per token
  double activation_bytes = 0;  // per token, kept for the backward pass, without the logits
  double logit_bytes = 0;       // per token: the logits and their gradient
};

/// `bfloat16`: matrix products and what they keep are in bf16, as train.precision says.
[[nodiscard]] ModelCost cost_of(const ModelSpec& model, std::int64_t length, bool bfloat16);

/// AdamW with fp32 weights, gradients and two moments: 16 bytes a parameter, and 2 more for the bf16 copies that
/// autocast keeps. A checkpoint has 12 bytes a parameter; two lie on the disk while one replaces the other. With
/// several GPUs each holds a whole copy of all this and a share of the step's sequences. Training counts three forward
/// passes. `trained`: tokens of the budget that another job has trained. Time is left to price().
[[nodiscard]] Estimate estimate_training(const ModelCost& cost, const TrainOptions& train, const LaunchOptions& launch,
                                         std::int64_t trained = 0);

/// Reads `tokens` at lengths up to `longest`, at which `cost` was taken.
[[nodiscard]] Estimate estimate_evaluation(const ModelCost& cost, double tokens, std::int64_t longest,
                                           const LaunchOptions& launch, bool bfloat16);

/// Digest of what decides the speed of a job: its kind, the model's canonical JSON, the length, the precision and the
/// devices.
[[nodiscard]] std::string speed_key_of(std::string_view kind, std::string_view model_json, std::int64_t length,
                                       bool bfloat16, const LaunchOptions& launch);

/// The assumed FLOP/s of all devices of one job.
[[nodiscard]] AssumedSpeed assumed_speed(const LaunchOptions& launch, bool bfloat16);

/// Fills in the time with its interval: from the measured speed where the context has one (two standard deviations to
/// either side, at least 5 %; 20 % where it ran once), else from the assumed FLOP/s.
void price(Estimate& estimate, const std::string& speed_key, const LaunchOptions& launch, bool bfloat16,
           const PlanContext& context);

}  // namespace mestre
