// Mega-S6; equations in README.md beside it.
//
// Parameters: v_proj.weight [d, d], .bias [d]; those of S6 with E = d (core/model/s6.h); m_proj.weight [3d + z, d],
// .bias [3d + z], the rows of u, zeta, r and h_x; h_proj.weight [d, d], .bias [d]; gamma, beta [2, z], the rows of
// queries and of keys; position_a, position_b [z], the a and b of the position bias.
#pragma once

#include "core/mixers/mega_s6/options.h"
#include "core/model/dense.h"
#include "core/model/mixer_module.h"
#include "core/model/rotation.h"
#include "core/model/s6.h"

namespace mestre {

class MegaS6Module final : public MixerModule {
 public:
  MegaS6Module(const MegaS6Options& options, const ModelShape& shape);
  [[nodiscard]] at::Tensor forward(const MixerInput& input) override;
  [[nodiscard]] std::unique_ptr<MixerState> start() const override;
  void initialize(const Initializer& initializer) override;

 private:
  /// The queries or keys [B, L, z] beside what makes the position bias of them, [B, L, 2z].
  [[nodiscard]] at::Tensor with_positions(const at::Tensor& x, const at::Tensor& vector, std::int64_t first);

  MegaS6Options options_;
  std::int64_t width_;
  BiasedDense v_proj_;
  S6 s6_;
  BiasedDense m_proj_;
  BiasedDense h_proj_;
  at::Tensor gamma_, beta_, position_a_, position_b_;
  Rotation rotation_;
};

}  // namespace mestre
