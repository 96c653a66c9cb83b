// Retention (RetNet, arXiv 2307.08621, section 2.2) as a Torch operation: linear attention whose heads forget at fixed
// rates.
//
//   S_t = exp(log_decay_h) S_{t-1} + k_t^T v_t,   o_t = scale q_t S_t,
//
// with S_{t-1} = 0 where reset[t]. In RetNet exp(log_decay_h) = 1 - 2^(-5-h), and q and k have been rotated before.
// Also torch.ops.mestre.retention, once libmestre_kernels.so is loaded. Served on every device by a composition of
// Torch's matrix products.
#pragma once

#include <optional>
#include <tuple>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// q, k [B, L, H, K] and v [B, L, H, V], each fp32 or bf16 on its own; log_decay [H] and initial_state [B, H, K, V]
/// fp32; reset [B, L] bool. Or all fp64 but reset. Any strides, all sizes positive. log_decay is the natural logarithm
/// of the decay: finite, and at most 0 where the recurrence is to be stable.
///
/// Returns o [B, L, H, V] in the type of q and final_state [B, H, K, V] in that of log_decay. Arithmetic is in fp32, in
/// fp64 where the inputs are. A token with reset forgets the state before it, initial_state too if it is the first; no
/// gradient passes it. A not-a-number reaches the whole chunk of 64 tokens in which it stands, and what follows.
///
/// Differentiable once, in q, k, v, log_decay and initial_state, from o and from final_state. Keeps its inputs for the
/// backward pass, nothing else: that computes everything again.
///
/// Throws c10::Error naming the operation, the argument, what was expected and what it got.
std::tuple<at::Tensor, at::Tensor> retention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                             const at::Tensor& log_decay, double scale,
                                             const std::optional<at::Tensor>& initial_state = {},
                                             const std::optional<at::Tensor>& reset = {});

}  // namespace mestre::kernels
