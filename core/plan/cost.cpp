#include "core/plan/cost.h"

#include "core/base/options.h"

namespace mestre {

std::string estimate_json(const Estimate& estimate) {
  const MemoryEstimate& parts = estimate.memory;
  JsonObject memory;
  memory.number("weights", parts.weights).number("gradients", parts.gradients).number("optimizer", parts.optimizer);
  memory.number("activations", parts.activations).number("logits", parts.logits).number("context", parts.context);
  JsonObject object;
  object.number("parameters", estimate.parameters)
      .number("parameters_without_embeddings", estimate.parameters_without_embeddings)
      .number("forward_flops_per_token", estimate.forward_flops_per_token)
      .number("flops", estimate.flops)
      .number("tokens", estimate.tokens)
      .number("memory_bytes", parts.total())
      .raw("memory", memory.str())
      .number("disk_bytes", estimate.disk_bytes)
      .number("seconds", estimate.seconds)
      .number("seconds_low", estimate.seconds_low)
      .number("seconds_high", estimate.seconds_high)
      .boolean("measured", estimate.measured())
      .number("measured_runs", estimate.measured_runs);
  return object.str();
}

}  // namespace mestre
