// Gated linear attention from Torch's own operations, chunk by chunk; for any device.
#pragma once

#include <tuple>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// Arguments as in gated_linear_attention.h, checked before; initial_state and reset may be undefined. Differentiable
/// by autograd, which keeps about 20 tensors of q's size and a state per chunk.
std::tuple<at::Tensor, at::Tensor> compose_gated_linear_attention(const at::Tensor& q, const at::Tensor& k,
                                                                  const at::Tensor& v, const at::Tensor& log_gate,
                                                                  double scale, const at::Tensor& initial_state,
                                                                  const at::Tensor& reset);

}  // namespace mestre::kernels
