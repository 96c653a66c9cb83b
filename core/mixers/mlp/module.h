// SwiGLU MLP: (SiLU(X W_1) * (X W_2)) W_3 (arXiv 2002.05202), intermediate width p.
//
// Parameters: gate_up.weight [2p, d], the rows of W_1 and then those of W_2, one product for both; down.weight [d, p].
#pragma once

#include "core/mixers/mlp/options.h"
#include "core/model/dense.h"
#include "core/model/mixer_module.h"

namespace mestre {

class MlpModule final : public MixerModule {
 public:
  MlpModule(const MlpOptions& options, const ModelShape& shape);
  [[nodiscard]] at::Tensor forward(const MixerInput& input) override;
  void initialize(const Initializer& initializer) override;

 private:
  std::shared_ptr<Dense> gate_up_;
  std::shared_ptr<Dense> down_;
};

}  // namespace mestre
