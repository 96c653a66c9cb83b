// Retention; equations in README.md beside it. Parameters: those of GatedHeads (core/model/gated_heads.h).
#pragma once

#include "core/mixers/retention/options.h"
#include "core/model/gated_heads.h"
#include "core/model/mixer_module.h"
#include "core/model/rotation.h"

namespace mestre {

class RetentionModule final : public MixerModule {
 public:
  RetentionModule(const RetentionOptions& options, const ModelShape& shape);
  [[nodiscard]] at::Tensor forward(const MixerInput& input) override;
  [[nodiscard]] std::unique_ptr<MixerState> start() const override;
  void initialize(const Initializer& initializer) override;

 private:
  ExpandedHeads sizes_;
  bool rope_;
  GatedHeads heads_;
  Rotation rotation_;
  at::Tensor log_decay_;  // [H], of the device and type that was last asked for
};

}  // namespace mestre
