// Gated linear attention (arXiv 2312.06635, section 4) as a Torch operation: a matrix state per head, each of whose key
// channels forgets at a rate of its own.
//
//   S_t = diag(exp(log_gate_t)) S_{t-1} + k_t^T v_t,   o_t = scale q_t S_t,
//
// with S_{t-1} = 0 where reset[t]. Also torch.ops.mestre.gated_linear_attention, once libmestre_kernels.so is loaded.
// Served on every device by a composition of Torch's matrix products.
#pragma once

#include <optional>
#include <tuple>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// q, k [B, L, H, K] and v [B, L, H, V], each fp32 or bf16 on its own; log_gate [B, L, H, K] and initial_state
/// [B, H, K, V] fp32; reset [B, L] bool. Or all fp64 but reset. Any strides, all sizes positive. log_gate is the
/// natural logarithm of the gate, at most 0 where the recurrence is to be stable; any value from -infinity to 0 is
/// safe.
///
/// Returns o [B, L, H, V] in the type of q and final_state [B, H, K, V] in that of log_gate. Arithmetic is in fp32, in
/// fp64 where the inputs are. A token with reset forgets the state before it, initial_state too if it is the first; no
/// gradient passes it. A not-a-number reaches the whole chunk of 64 tokens in which it stands, and what follows.
///
/// Differentiable once, in q, k, v, log_gate and initial_state, from o and from final_state. Keeps its inputs for the
/// backward pass, nothing else: that computes everything again.
///
/// Throws c10::Error naming the operation, the argument, what was expected and what it got.
std::tuple<at::Tensor, at::Tensor> gated_linear_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                          const at::Tensor& log_gate, double scale,
                                                          const std::optional<at::Tensor>& initial_state = {},
                                                          const std::optional<at::Tensor>& reset = {});

}  // namespace mestre::kernels
