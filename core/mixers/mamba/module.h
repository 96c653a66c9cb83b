// Mamba, the S6 layer (arXiv 2312.00752) between its projections. With E = expand d and S6 as core/model/s6.h says it:
//
//   [H, G] = X W_in;  O = (S6(H) * SiLU(G)) W_out
//
// Parameters: in_proj.weight [2E, d], rows of H and then of G; those of S6; out_proj.weight [d, E].
#pragma once

#include "core/mixers/mamba/options.h"
#include "core/model/dense.h"
#include "core/model/mixer_module.h"
#include "core/model/s6.h"

namespace mestre {

class MambaModule final : public MixerModule {
 public:
  MambaModule(const MambaOptions& options, const ModelShape& shape);
  [[nodiscard]] at::Tensor forward(const MixerInput& input) override;
  [[nodiscard]] std::unique_ptr<MixerState> start() const override;
  void initialize(const Initializer& initializer) override;

 private:
  std::shared_ptr<Dense> in_proj_;
  S6 s6_;
  std::shared_ptr<Dense> out_proj_;
};

}  // namespace mestre
