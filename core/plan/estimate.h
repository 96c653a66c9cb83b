// What training and evaluating cost, from options alone. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/plan/plan.h"
#include "core/spec/model.h"
#include "core/tasks/task.h"

namespace mestre {

/// What a model costs at one length; computing it walks over all layers, so callers keep it.
struct ModelCost {
  std::int64_t parameters = 0;
  std::int64_t parameters_without_embeddings = 0;
  double forward_flops = 0;     // per token
  double activation_bytes = 0;  // per token, kept for the backward pass
};

[[nodiscard]] ModelCost cost_of(const ModelSpec& model, std::int64_t length);

/// AdamW in fp32: weights, gradients and two moments are 16 bytes a parameter, a checkpoint 12, of which two lie on the
/// disk while one replaces the other. Training counts three forward passes. Time is left to price().
[[nodiscard]] Estimate estimate_training(const ModelCost& cost, const TrainOptions& train, const LaunchOptions& launch);

/// Reads `tokens` at lengths up to `longest`, at which `cost` was taken.
[[nodiscard]] Estimate estimate_evaluation(const ModelCost& cost, const ModelSpec& model, double tokens,
                                           std::int64_t longest);

/// Digest of what decides the speed of a job: its kind, the model's canonical JSON, the length, and the devices.
[[nodiscard]] std::string speed_key_of(std::string_view kind, std::string_view model_json, std::int64_t length,
                                       const LaunchOptions& launch);

/// Fills in the time: from the measured speed where the context has one, else from the assumed FLOP/s.
void price(Estimate& estimate, const std::string& speed_key, const LaunchOptions& launch, const PlanContext& context);

}  // namespace mestre
