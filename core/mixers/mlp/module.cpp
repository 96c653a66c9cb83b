#include "core/mixers/mlp/module.h"

#include "kernels/swiglu/swiglu.h"

namespace mestre {

MlpModule::MlpModule(const MlpOptions& options, const ModelShape& shape) {
  gate_up_ = register_module("gate_up", std::make_shared<Dense>(shape.width, 2 * options.intermediate));
  down_ = register_module("down", std::make_shared<Dense>(options.intermediate, shape.width));
}

at::Tensor MlpModule::forward(const MixerInput& input) {
  return down_->forward(kernels::swiglu(gate_up_->forward(input.x)));
}

void MlpModule::initialize(const Initializer& initializer) {
  initializer.linear("gate_up.weight", gate_up_->weight);
  initializer.output("down.weight", down_->weight);
}

}  // namespace mestre
