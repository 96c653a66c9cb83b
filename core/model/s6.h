// The selective state space layer S6 (arXiv 2312.00752) without the projections around it: what mamba and mega_s6
// share.
//
//   U = SiLU(causal depthwise conv(X));  [r, B, C] = U W_x;  Delta = softplus(r W_dt + b_dt);  A = -exp(A_log)
//   Z_t = exp(Delta_t A) Z_{t-1} + Delta_t B_t U_t;  Y_t = Z_t C_t + D U_t;  Y * SiLU(gate) where there is a gate
#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "core/model/dense.h"
#include "core/model/mixer_module.h"
#include "core/model/short_convolution.h"

namespace mestre {

struct S6Sizes {
  std::int64_t inner = 0;        // E, channels
  std::int64_t state = 0;        // N
  std::int64_t rank = 0;         // R
  std::int64_t convolution = 0;  // taps
};

/// What S6 remembers; undefined tensors before the first token.
struct S6State {
  at::Tensor inputs;  // [B, taps - 1, E], of the convolution
  at::Tensor states;  // [B, E, N] fp32, fp64 in a model of fp64
};

class S6 {
 public:
  /// Registers its parameters on the mixer: conv1d.weight [E, taps], the last tap on the current
  /// token; conv1d.bias [E]; x_proj.weight [R + 2N, E], rows r, B, C; dt_proj.weight [E, R]; dt_proj.bias [E];
  /// A_log [E, N]; D [E]. A_log and D are fp32 whatever the rest is.
  S6(torch::nn::Module& mixer, const S6Sizes& sizes);

  /// x, gate [B, L, E] to [B, L, E].
  [[nodiscard]] at::Tensor forward(const at::Tensor& x, const std::optional<at::Tensor>& gate, S6State* state,
                                   MixerObserver* observer) const;
  /// A_log[e, n] = log(n + 1), D = 1, W_dt uniform in +-R^-1/2, b_dt so that Delta starts log-uniform in [0.001, 0.1];
  /// the rest as the scheme has it (paper, section 1).
  void initialize(const Initializer& initializer);

 private:
  S6Sizes sizes_;
  std::shared_ptr<ShortConvolution> conv1d_;
  std::shared_ptr<Dense> x_proj_;
  std::shared_ptr<Dense> dt_proj_;
  at::Tensor dt_bias_, a_log_, d_;
};

}  // namespace mestre
