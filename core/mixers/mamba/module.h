// Mamba, the S6 layer (arXiv 2312.00752). With E = expand d, N states, R = rank:
//
//   [H, G] = X W_in;  U = SiLU(causal depthwise conv(H));  [r, B, C] = U W_x;  Delta = softplus(r W_dt + b_dt);  A =
//   -exp(A_log) Z_t = exp(Delta_t A) Z_{t-1} + Delta_t B_t U_t;  Y_t = Z_t C_t + D U_t;  O = (Y * SiLU(G)) W_out
//
// Parameters: in_proj.weight [2E, d]; conv1d.weight [E, taps], the last tap on the current token; conv1d.bias [E];
// x_proj.weight [R + 2N, E]; dt_proj.weight [E, R]; dt_proj.bias [E]; A_log [E, N]; D [E]; out_proj.weight [d, E].
// A_log and D are fp32 whatever the rest is.
#pragma once

#include "core/mixers/mamba/options.h"
#include "core/model/dense.h"
#include "core/model/mixer_module.h"
#include "core/model/short_convolution.h"

namespace mestre {

class MambaModule final : public MixerModule {
 public:
  MambaModule(const MambaOptions& options, const ModelShape& shape);
  [[nodiscard]] at::Tensor forward(const at::Tensor& x) override;
  void initialize(const Initializer& initializer) override;

 private:
  MambaOptions options_;
  std::int64_t inner_;
  std::shared_ptr<Dense> in_proj_;
  std::shared_ptr<ShortConvolution> conv1d_;
  std::shared_ptr<Dense> x_proj_;
  std::shared_ptr<Dense> dt_proj_;
  at::Tensor dt_bias_;
  at::Tensor a_log_, d_;
  std::shared_ptr<Dense> out_proj_;
};

}  // namespace mestre
