// RMSNorm over the last dimension (arXiv 1910.07467), alone, behind a residual addition, and before a SiLU gate, as
// Torch operations:
//
//   rms_norm(x)_i = x_i r w_i,   r = 1 / sqrt(mean(x^2) + epsilon)
//
// Also torch.ops.mestre.{rms_norm, add_rms_norm, gated_rms_norm}.
//
// x, residual, gate are [..., D] and weight [D], each fp32, fp64 or bf16; fp64 goes with fp64, fp32 and bf16 mix,
// arithmetic is then fp32. Rows that do not lie side by side are copied first; results are contiguous. Differentiable
// once, in all tensors; deterministic for any number of threads. All throw c10::Error naming the argument, what was
// expected and what it got.
#pragma once

#include <tuple>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// In the type of x. Saves its inputs alone.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

/// y = rms_norm(residual + x) in the type of x, and residual + x in that of residual: a layer's update (bf16, perhaps)
/// enters the residual stream (fp32) and the next layer's input leaves it, in one pass. The norm sees the sum as it is
/// returned. Saves the sum and weight.
std::tuple<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& residual,
                                                const at::Tensor& weight, double epsilon);

/// rms_norm(x) * SiLU(gate) in the type of x: the output of gated linear attention (arXiv 2312.06635) and retention
/// (arXiv 2307.08621), D the size of a head's value. Saves its inputs alone.
at::Tensor gated_rms_norm(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& weight, double epsilon);

/// The same in ATen's operations, which keep more for backward: what a device without a kernel of ours runs, and the
/// bench's peers.
at::Tensor rms_norm_composition(const at::Tensor& x, const at::Tensor& weight, double epsilon);
std::tuple<at::Tensor, at::Tensor> add_rms_norm_composition(const at::Tensor& x, const at::Tensor& residual,
                                                            const at::Tensor& weight, double epsilon);
at::Tensor gated_rms_norm_composition(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& weight,
                                      double epsilon);

}  // namespace mestre::kernels
