#include "core/mixers/retention/module.h"

#include <cmath>

#include <ATen/ATen.h>

#include "kernels/retention/retention.h"
#include "kernels/rope/rope.h"

namespace mestre {
namespace {

struct RetentionState final : MixerState {
  at::Tensor inputs;  // of the short convolution
  at::Tensor states;  // [B, H, dk, dv]; undefined before the first token
};

// log(1 - 2^(-5 - j)), j = 0 … heads - 1.
at::Tensor log_decays(std::int64_t heads) {
  return at::log1p(-at::exp2(-5 - at::arange(heads, at::kDouble)));
}

}  // namespace

RetentionModule::RetentionModule(const RetentionOptions& options, const ModelShape& shape)
    : sizes_(options.sizes(shape)),
      rope_(options.rope),
      heads_(*this, sizes_, shape.width, options.short_convolution),
      rotation_(sizes_.key_size(), options.rope_base) {}

at::Tensor RetentionModule::forward(const MixerInput& input) {
  auto* state = dynamic_cast<RetentionState*>(input.state);
  auto [q, k, v, g] = heads_.project(input.x, state != nullptr ? &state->inputs : nullptr);
  if (rope_) {
    const Rotation::Angles angles = rotation_.angles(state != nullptr ? state->position : 0, input.x.size(1), input.x);
    q = kernels::rope(q, angles.cosines, angles.sines);
    k = kernels::rope(k, angles.cosines, angles.sines);
  }
  const at::ScalarType type = input.x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  if (!log_decay_.defined() || log_decay_.scalar_type() != type || log_decay_.device() != input.x.device())
    log_decay_ = log_decays(sizes_.heads).to(input.x.options().dtype(type));
  std::optional<at::Tensor> before;
  if (state != nullptr && state->states.defined()) before = state->states;
  const double scale = 1.0 / std::sqrt(static_cast<double>(sizes_.key_size()));
  const auto [o, after] = kernels::retention(q, k, v, log_decay_, scale, before);
  if (state != nullptr) {
    state->states = after;
    state->position += input.x.size(1);
  }
  return heads_.combine(o, g);
}

std::unique_ptr<MixerState> RetentionModule::start() const {
  return std::make_unique<RetentionState>();
}

void RetentionModule::initialize(const Initializer& initializer) {
  heads_.initialize(initializer);
}

}  // namespace mestre
