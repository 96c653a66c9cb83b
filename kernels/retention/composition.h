// Retention from Torch's own operations, chunk by chunk; for any device.
#pragma once

#include <tuple>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// Arguments as in retention.h, checked before; initial_state and reset may be undefined. Differentiable by autograd,
/// which keeps a few tensors of the sizes of q and v, a T x T matrix and a state per chunk.
std::tuple<at::Tensor, at::Tensor> compose_retention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                     const at::Tensor& log_decay, double scale,
                                                     const at::Tensor& initial_state, const at::Tensor& reset);

}  // namespace mestre::kernels
