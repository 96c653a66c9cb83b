#include "core/plan/estimate.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/hash.h"

namespace mestre {
namespace {

constexpr double kElement = 4;            // bytes of an activation or weight in fp32
constexpr double kTrainingBytes = 16;     // per parameter: weight, gradient, two moments
constexpr double kCheckpointBytes = 12;   // per parameter: weight, two moments
constexpr double kCheckpointsOnDisk = 2;  // the old one goes when the new one is whole
constexpr double kForwardsPerStep = 3;    // the backward pass costs two

}  // namespace

ModelCost cost_of(const ModelSpec& model, std::int64_t length) {
  return {.parameters = model.parameters(),
          .parameters_without_embeddings = model.parameters_without_embeddings(),
          .forward_flops = model.forward_flops(length),
          .activation_bytes = model.activation_bytes(length, kElement)};
}

Estimate estimate_training(const ModelCost& cost, const TrainOptions& train, const LaunchOptions& launch) {
  const auto parameters = static_cast<double>(cost.parameters);
  const std::int64_t all = train.sequences_per_step;
  const std::int64_t at_once = launch.micro_batch > 0 ? std::min(launch.micro_batch, all) : all;
  Estimate estimate;
  estimate.parameters = cost.parameters;
  estimate.parameters_without_embeddings = cost.parameters_without_embeddings;
  estimate.forward_flops_per_token = cost.forward_flops;
  estimate.tokens = static_cast<double>(train.steps()) * static_cast<double>(train.tokens_per_step());
  estimate.flops = kForwardsPerStep * cost.forward_flops * estimate.tokens;
  estimate.memory_bytes = kTrainingBytes * parameters + cost.activation_bytes *
                                                            static_cast<double>(train.sequence_length) *
                                                            static_cast<double>(at_once);
  estimate.disk_bytes = kCheckpointBytes * parameters * kCheckpointsOnDisk;
  return estimate;
}

Estimate estimate_evaluation(const ModelCost& cost, const ModelSpec& model, double tokens, std::int64_t longest) {
  Estimate estimate;
  estimate.parameters = cost.parameters;
  estimate.parameters_without_embeddings = cost.parameters_without_embeddings;
  estimate.forward_flops_per_token = cost.forward_flops;
  estimate.tokens = tokens;
  estimate.flops = cost.forward_flops * tokens;
  // Without a backward pass only one layer's activations live at a time, and the logits.
  const auto layers = static_cast<double>(
      std::max<std::size_t>(1, model.options.layers.size() * static_cast<std::size_t>(model.options.repeat)));
  const double logits = static_cast<double>(model.options.vocabulary) * kElement;
  estimate.memory_bytes = kElement * static_cast<double>(cost.parameters) +
                          (cost.activation_bytes / layers + logits) * static_cast<double>(longest);
  return estimate;
}

std::string speed_key_of(std::string_view kind, std::string_view model_json, std::int64_t length,
                         const LaunchOptions& launch) {
  return xxh3_128(
      fmt::format("{}\n{}\n{}\n{} GPUs, {} threads", kind, model_json, length, launch.gpus, launch.threads));
}

void price(Estimate& estimate, const std::string& speed_key, const LaunchOptions& launch, const PlanContext& context) {
  const auto measured = context.tokens_per_second.find(speed_key);
  estimate.measured = measured != context.tokens_per_second.end() && measured->second > 0;
  const double assumed = launch.gpus > 0 ? context.assumed_gpu_flops_per_second * static_cast<double>(launch.gpus)
                                         : context.assumed_flops_per_second * static_cast<double>(launch.threads);
  estimate.seconds = estimate.measured ? estimate.tokens / measured->second : estimate.flops / assumed;
}

}  // namespace mestre
