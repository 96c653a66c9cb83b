#include "core/mixers/gla/module.h"

#include <cmath>

#include <ATen/ATen.h>

#include "kernels/gated_linear_attention/gated_linear_attention.h"

namespace mestre {
namespace {

constexpr double kLinearAbove = 40;  // where log(1 + e^x) is x to the last bit of fp64

struct GlaState final : MixerState {
  at::Tensor inputs;  // of the short convolution
  at::Tensor states;  // [B, H, dk, dv]; undefined before the first token
};

}  // namespace

GlaModule::GlaModule(const GlaOptions& options, const ModelShape& shape)
    : sizes_(options.sizes(shape)),
      gate_temperature_(options.gate_temperature),
      heads_(*this, sizes_, shape.width, options.short_convolution),
      gate_down_(register_module("gate_down", std::make_shared<Dense>(shape.width, options.gate_rank))),
      gate_up_(*this, "gate_up", options.gate_rank, sizes_.key_width) {}

at::Tensor GlaModule::forward(const MixerInput& input) {
  auto* state = dynamic_cast<GlaState*>(input.state);
  const auto [q, k, v, g] = heads_.project(input.x, state != nullptr ? &state->inputs : nullptr);
  const at::Tensor decay = gate_up_.forward(gate_down_->forward(input.x));
  // Products of many decays: in bf16 they would be too coarse.
  const at::Tensor exact = decay.scalar_type() == at::kBFloat16 ? decay.to(at::kFloat) : decay;
  const at::Tensor log_gate =
      (at::softplus(-exact, 1, kLinearAbove) / -gate_temperature_).unflatten(-1, {sizes_.heads, -1});
  std::optional<at::Tensor> before;
  if (state != nullptr && state->states.defined()) before = state->states;
  const double scale = 1.0 / std::sqrt(static_cast<double>(sizes_.key_size()));
  const auto [o, after] = kernels::gated_linear_attention(q, k, v, log_gate, scale, before);
  if (state != nullptr) {
    state->states = after;
    state->position += input.x.size(1);
  }
  return heads_.combine(o, g);
}

std::unique_ptr<MixerState> GlaModule::start() const {
  return std::make_unique<GlaState>();
}

void GlaModule::initialize(const Initializer& initializer) {
  heads_.initialize(initializer);
  initialize_projection(initializer, "gate_down.weight", gate_down_->weight);
  initialize_projection(initializer, "gate_up.weight", gate_up_.weight());
  gate_up_.bias().zero_();
}

}  // namespace mestre
