// Selective scan of S6 (Mamba, arXiv 2312.00752, eq. 2 with zero-order hold for A and Euler for B), as a Torch
// operation:
//
//   Z_t = exp(delta_t A) Z_{t-1} + delta_t B_t u_t,   y_t = C_t Z_t + D u_t,   y_t *= silu(z_t) where z is given,
//
// with delta = softplus(delta + delta_bias) where asked, and Z_{t-1} = 0 where reset[t].
// Also torch.ops.mestre.selective_scan, once libmestre_kernels.so is loaded. A fused kernel serves fp32 and bf16 on the
// CPU; a composition of Torch's own operations, slower but right, serves fp64 and all other devices.
#pragma once

#include <optional>
#include <tuple>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// u, delta, z [B, L, E] and B, C [B, L, N], each fp32 or bf16 on its own; A [E, N], D, delta_bias [E], initial_state
/// [B, E, N] fp32; or all of them fp64; reset [B, L] bool; all sizes positive, N <= 64, any E and L. A is negative
/// where the recurrence is to be stable; nothing depends on it.
///
/// Returns y [B, L, E] in the type of u, and final_state [B, E, N] in that of A, both contiguous. Arithmetic is in the
/// type of A throughout. u, delta, z, B and C may have any strides as long as the last dimension is contiguous, as
/// slices of a projection are; anything else is copied first. A token with reset forgets the state before it,
/// initial_state too if it is the first; no gradient passes it.
///
/// Differentiable once, in all of u, delta, A, B, C, D, z, delta_bias, initial_state, from y and from final_state. For
/// backward it saves its inputs and one state every 32 tokens (B L E N / 32 numbers in the type of A); without
/// gradients to come, nothing. Deterministic; the fused kernel is also bit-identical for any number of threads on one
/// machine, and another instruction set rounds differently. A not-a-number goes only where the equation takes it, but a
/// reset of the composition does not end it.
///
/// Throws c10::Error naming the operation, the argument, what was expected and what it got.
std::tuple<at::Tensor, at::Tensor> selective_scan(
    const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B, const at::Tensor& C,
    const std::optional<at::Tensor>& D = {}, const std::optional<at::Tensor>& z = {},
    const std::optional<at::Tensor>& delta_bias = {}, bool delta_softplus = false,
    const std::optional<at::Tensor>& initial_state = {}, const std::optional<at::Tensor>& reset = {});

}  // namespace mestre::kernels
