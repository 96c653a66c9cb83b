// Entropy of the attention of each query, in nats, as a Torch operation. With s the scores of a query at t over the
// keys that it sees (sliding_window_attention.h) and p = softmax(s):
//
//   entropy_t = -sum_u p_u log p_u = log sum_u exp(s_u) - sum_u p_u s_u
//
// Also torch.ops.mestre.attention_entropy.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// q [B, Lq, H, D], k [B, Lk, G, D], window and scale as in sliding_window_attention, RoPE applied already where there
/// is any. Returns [B, H, Lq], fp32 (fp64 for fp64). Good to 1e-6 of each value in fp32, as far as
/// the scores themselves are: one of 30 is rounded to 2e-6.
///
/// Memory is linear in length: keys come in blocks, and each row keeps its greatest score and two sums. Not
/// differentiable: backward throws. Deterministic for any number of threads. Throws c10::Error naming the argument,
/// what was expected and what it got.
at::Tensor attention_entropy(const at::Tensor& q, const at::Tensor& k, std::int64_t window, double scale);

/// The same in ATen's operations, in blocks of queries: what a device without a kernel of ours runs, and the bench's
/// peer.
at::Tensor attention_entropy_composition(const at::Tensor& q, const at::Tensor& k, std::int64_t window, double scale);

}  // namespace mestre::kernels
