// The CPU's attention over tensors, for the operations that are made of it.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// Tensors in the type of arithmetic, their last dimension contiguous. q [B, Lq, H, D], k and v [B, Lk, G, D]; cosines
/// and sines [L, D/2], contiguous, or undefined: no rotation.
struct HeadTensors {
  at::Tensor q, k, v;
  std::int64_t window;
  double scale;
  at::Tensor cosines = {}, sines = {};
};

/// o [B, Lq, H, D] of any strides but the last, logsumexp [B, H, Lq] contiguous; both overwritten.
void attend_heads(const HeadTensors& in, const at::Tensor& o, const at::Tensor& logsumexp);

/// logsumexp is what attend_heads left; d_logsumexp is contiguous, or undefined: zero. The gradients dq, dk, dv, in the
/// shapes of q, k, v, are overwritten.
struct HeadGradients {
  at::Tensor logsumexp, d_o, d_logsumexp;
  at::Tensor dq, dk, dv;
};
void attend_heads_backward(const HeadTensors& in, const HeadGradients& gradients);

}  // namespace mestre::kernels
