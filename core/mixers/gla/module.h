// Gated linear attention; equations in README.md beside it.
//
// Parameters: those of GatedHeads (core/model/gated_heads.h); gate_down.weight [r, d]; gate_up.weight [K, r];
// gate_up.bias [K].
#pragma once

#include "core/mixers/gla/options.h"
#include "core/model/dense.h"
#include "core/model/gated_heads.h"
#include "core/model/mixer_module.h"

namespace mestre {

class GlaModule final : public MixerModule {
 public:
  GlaModule(const GlaOptions& options, const ModelShape& shape);
  [[nodiscard]] at::Tensor forward(const MixerInput& input) override;
  [[nodiscard]] std::unique_ptr<MixerState> start() const override;
  void initialize(const Initializer& initializer) override;

 private:
  ExpandedHeads sizes_;
  double gate_temperature_;
  GatedHeads heads_;
  std::shared_ptr<Dense> gate_down_;
  BiasedDense gate_up_;
};

}  // namespace mestre
