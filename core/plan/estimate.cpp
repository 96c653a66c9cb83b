#include "core/plan/estimate.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/base/hash.h"

namespace mestre {
namespace {

constexpr double kFloat32 = 4;
constexpr double kBfloat16 = 2;
constexpr double kMomentBytes = 8;        // per parameter: two of AdamW
constexpr double kCheckpointBytes = 12;   // per parameter: weight, two moments
constexpr double kCheckpointsOnDisk = 2;  // the old one goes when the new one is whole
constexpr double kShareToFill = 0.9;      // of a GPU's memory, by a micro-batch that is chosen to fit
constexpr double kForwardsPerStep = 3;    // the backward pass costs two

// The fp32 weights, and with autocast their bf16 copies, which live until the step ends.
double weight_bytes(double parameters, bool bfloat16) {
  return parameters * (bfloat16 ? kFloat32 + kBfloat16 : kFloat32);
}

double context_bytes(const LaunchOptions& launch) {
  return launch.gpus > 0 ? kCudaContextBytes : 0;
}

Estimate sizes_of(const ModelCost& cost) {
  Estimate estimate;
  estimate.parameters = cost.parameters;
  estimate.parameters_without_embeddings = cost.parameters_without_embeddings;
  estimate.forward_flops_per_token = cost.forward_flops;
  return estimate;
}

// Sequences in one forward pass on one device. Where the worker is to find out what fits, as many as the planner finds
// to fit the GPU; where that is not known, one.
double micro_batch(const TrainOptions& train, const LaunchOptions& launch, double fixed, double per_sequence) {
  const std::int64_t devices = std::max<std::int64_t>(1, launch.gpus);
  const std::int64_t whole_share = (train.sequences_per_step + devices - 1) / devices;
  const auto share = static_cast<double>(whole_share);
  if (launch.micro_batch != kAutoMicroBatch)
    return launch.micro_batch > 0 ? std::min(static_cast<double>(launch.micro_batch), share) : share;
  const Gpu* gpu = launch.gpus > 0 ? find_gpu(launch.gpu) : nullptr;
  if (gpu == nullptr || per_sequence <= 0) return 1;
  return std::clamp(std::floor((kShareToFill * gpu->memory_bytes - fixed) / per_sequence), 1.0, share);
}

// By how much the speed of the next run may differ from the mean, as a share.
double spread(const MeasuredSpeed& speed) {
  if (speed.runs < 2) return 0.2;
  return std::clamp(2 * speed.deviation / speed.tokens_per_second, 0.05, 0.9);
}

}  // namespace

ModelCost cost_of(const ModelSpec& model, std::int64_t length, bool bfloat16) {
  const double element = bfloat16 ? kBfloat16 : kFloat32;
  return {.parameters = model.parameters(),
          .parameters_without_embeddings = model.parameters_without_embeddings(),
          .layers = static_cast<std::int64_t>(model.options.layers.size()) * model.options.repeat,
          .forward_flops = model.forward_flops(length),
          .activation_bytes = model.activation_bytes(length, element),
          .logit_bytes = model.logit_bytes(element)};
}

Estimate estimate_training(const ModelCost& cost, const TrainOptions& train, const LaunchOptions& launch,
                           std::int64_t trained) {
  const auto parameters = static_cast<double>(cost.parameters);
  const bool bfloat16 = train.is_bfloat16();
  const auto length = static_cast<double>(train.sequence_length);
  const double fixed =
      weight_bytes(parameters, bfloat16) + (kFloat32 + kMomentBytes) * parameters + context_bytes(launch);
  const double tokens_at_once =
      length * micro_batch(train, launch, fixed, length * (cost.activation_bytes + cost.logit_bytes));
  Estimate estimate = sizes_of(cost);
  estimate.tokens =
      static_cast<double>(train.steps()) * static_cast<double>(train.tokens_per_step()) - static_cast<double>(trained);
  estimate.flops = kForwardsPerStep * cost.forward_flops * estimate.tokens;
  estimate.memory = {.weights = weight_bytes(parameters, bfloat16),
                     .gradients = kFloat32 * parameters,
                     .optimizer = kMomentBytes * parameters,
                     .activations = cost.activation_bytes * tokens_at_once,
                     .logits = cost.logit_bytes * tokens_at_once,
                     .context = context_bytes(launch)};
  estimate.disk_bytes = kCheckpointBytes * parameters * kCheckpointsOnDisk;
  return estimate;
}

Estimate estimate_evaluation(const ModelCost& cost, double tokens, std::int64_t longest, const LaunchOptions& launch,
                             bool bfloat16) {
  Estimate estimate = sizes_of(cost);
  estimate.tokens = tokens;
  estimate.flops = cost.forward_flops * tokens;
  // Without a backward pass only one layer's activations live at a time, and the logits without their gradient.
  const auto length = static_cast<double>(longest);
  estimate.memory = {
      .weights = weight_bytes(static_cast<double>(cost.parameters), bfloat16),
      .activations = cost.activation_bytes / static_cast<double>(std::max<std::int64_t>(1, cost.layers)) * length,
      .logits = cost.logit_bytes / 2 * length,
      .context = context_bytes(launch)};
  return estimate;
}

std::string speed_key_of(std::string_view kind, std::string_view model_json, std::int64_t length, bool bfloat16,
                         const LaunchOptions& launch) {
  return xxh3_128(fmt::format("{}\n{}\n{}\n{}\n{} GPUs {}, {} threads", kind, model_json, length,
                              bfloat16 ? "bfloat16" : "float32", launch.gpus, launch.gpus > 0 ? launch.gpu : "",
                              launch.threads));
}

AssumedSpeed assumed_speed(const LaunchOptions& launch, bool bfloat16) {
  const AssumedSpeed one = launch.gpus > 0 ? assumed_gpu_speed(launch.gpu, bfloat16) : assumed_thread_speed();
  const auto devices = static_cast<double>(launch.gpus > 0 ? launch.gpus : launch.threads);
  return {.low = one.low * devices, .expected = one.expected * devices, .high = one.high * devices};
}

void price(Estimate& estimate, const std::string& speed_key, const LaunchOptions& launch, bool bfloat16,
           const PlanContext& context) {
  const auto measured = context.speeds.find(speed_key);
  if (measured != context.speeds.end() && measured->second.tokens_per_second > 0) {
    const MeasuredSpeed& speed = measured->second;
    estimate.measured_runs = speed.runs;
    estimate.seconds = estimate.tokens / speed.tokens_per_second;
    estimate.seconds_low = estimate.seconds / (1 + spread(speed));
    estimate.seconds_high = estimate.seconds / (1 - spread(speed));
    return;
  }
  const AssumedSpeed assumed = assumed_speed(launch, bfloat16);
  estimate.measured_runs = 0;
  estimate.seconds = estimate.flops / assumed.expected;
  estimate.seconds_low = estimate.flops / assumed.high;
  estimate.seconds_high = estimate.flops / assumed.low;
}

}  // namespace mestre
