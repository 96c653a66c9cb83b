// Causal softmax attention (arXiv 1706.03762) over a sliding window (arXiv 2004.05150) or all earlier keys, with
// grouped heads (arXiv 2305.13245), as a Torch operation. With the query i at position t = Lk - Lq + i and the
// key-value head m = floor(j G / H) of query head j:
//
//   s_tu = scale q_ij . k_um,   u in { max(0, t - window + 1), …, t }   (all of 0 … t where window is 0)
//   o_ij = sum_u softmax(s_t)_u v_um,   logsumexp_ij = log sum_u exp(s_tu)
//
// A window shows a query exactly `window` keys, itself included. Also torch.ops.mestre.sliding_window_attention.
#pragma once

#include <cstdint>
#include <tuple>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// q [B, Lq, H, D]; k, v [B, Lk, G, D]; Lq <= Lk, G divides H; fp32, fp64 or bf16, of any strides (read in place where
/// the last dimension is contiguous, as in slices of one projection). fp64 goes with fp64; fp32 and bf16 mix,
/// arithmetic is then fp32. window >= 0; scale is commonly D^-1/2.
///
/// Returns o [B, Lq, H, D] in the type of q, contiguous, and logsumexp [B, H, Lq], fp32 (fp64 for fp64). Two calls over
/// parts of the keys are merged by it. With fewer queries than keys, as in decoding, the result is the tail of that of
/// all queries, bit for bit.
///
/// Differentiable once, in q, k and v through both results; saves its inputs and
/// logsumexp. Time is linear in length
/// where there is a window, memory in any case. Deterministic for any number of threads. Throws c10::Error naming the
/// argument, what was expected and what it got.
std::tuple<at::Tensor, at::Tensor> sliding_window_attention(const at::Tensor& q, const at::Tensor& k,
                                                            const at::Tensor& v, std::int64_t window, double scale);

/// The same in ATen's operations, in blocks of queries whose scores are computed again for backward: what a device
/// without a kernel of ours runs, and the bench's peer.
std::tuple<at::Tensor, at::Tensor> sliding_window_attention_composition(const at::Tensor& q, const at::Tensor& k,
                                                                        const at::Tensor& v, std::int64_t window,
                                                                        double scale);

}  // namespace mestre::kernels
