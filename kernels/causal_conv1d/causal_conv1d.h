// Short causal convolution over time, depthwise, with or without SiLU, as a Torch operation:
//
//   p_t = bias + sum_k weight[:, k] x_{t - W + 1 + k},   y_t = SiLU(p_t) where asked, else p_t
//
// The last tap falls on the current token. What lies before the sequence is initial_state, or zero. Mamba
// (arXiv 2312.00752) has it before its scan. Also torch.ops.mestre.causal_conv1d.
#pragma once

#include <optional>
#include <tuple>

#include <ATen/core/Tensor.h>

#include "kernels/causal_conv1d/limits.h"

namespace mestre::kernels {

/// x [B, L, E] fp32, fp64 or bf16, of any strides (read in place where channels lie side by side); weight [E, W], bias
/// [E]; initial_state [B, W - 1, E], oldest first; 1 <= W <= kMostTaps, all other sizes positive. fp64 goes with fp64;
/// fp32 and bf16 mix, arithmetic is then fp32.
///
/// Returns y [B, L, E] and final_state [B, W - 1, E], the last W - 1 inputs, initial_state's among them where L is
/// shorter; both contiguous, in the type of x. Continuing from final_state gives what the whole sequence would.
///
/// Differentiable once, in all tensors and through both results; saves its inputs alone. Deterministic for any number
/// of threads. Throws c10::Error naming the argument, what was expected and what it got.
std::tuple<at::Tensor, at::Tensor> causal_conv1d(const at::Tensor& x, const at::Tensor& weight,
                                                 const std::optional<at::Tensor>& bias = {}, bool silu = false,
                                                 const std::optional<at::Tensor>& initial_state = {});

/// The same in ATen's operations, which keep more for backward: what a device without a kernel of ours runs, and the
/// bench's peer.
std::tuple<at::Tensor, at::Tensor> causal_conv1d_composition(const at::Tensor& x, const at::Tensor& weight,
                                                             const std::optional<at::Tensor>& bias, bool silu,
                                                             const std::optional<at::Tensor>& initial_state);

}  // namespace mestre::kernels
