#include "core/mixers/mamba/module.h"

#include <vector>

#include <ATen/ATen.h>

namespace mestre {
namespace {

struct MambaState final : MixerState {
  S6State s6;
};

}  // namespace

MambaModule::MambaModule(const MambaOptions& options, const ModelShape& shape)
    : in_proj_(register_module("in_proj", std::make_shared<Dense>(shape.width, 2 * options.inner(shape)))),
      s6_(*this, {.inner = options.inner(shape),
                  .state = options.state,
                  .rank = options.rank,
                  .convolution = options.convolution}),
      out_proj_(register_module("out_proj", std::make_shared<Dense>(options.inner(shape), shape.width))) {}

at::Tensor MambaModule::forward(const MixerInput& input) {
  auto* state = dynamic_cast<MambaState*>(input.state);
  const std::vector<at::Tensor> h_and_gate = in_proj_->forward(input.x).chunk(2, -1);
  const at::Tensor y =
      s6_.forward(h_and_gate[0], h_and_gate[1], state != nullptr ? &state->s6 : nullptr, input.observer);
  if (state != nullptr) state->position += input.x.size(1);
  return out_proj_->forward(y);
}

std::unique_ptr<MixerState> MambaModule::start() const {
  return std::make_unique<MambaState>();
}

void MambaModule::initialize(const Initializer& initializer) {
  initializer.linear("in_proj.weight", in_proj_->weight);
  s6_.initialize(initializer);
  initializer.output("out_proj.weight", out_proj_->weight);
}

}  // namespace mestre
