// Sliding window attention (sliding_window_attention.h) straight from the projection that holds queries, keys and
// values side by side, with the rotation of RoPE (rope.h) on the way in, as a Torch operation.
//
// It computes what narrow, rope and sliding_window_attention would; what it saves is their passes over memory, in the
// backward direction above all, where the three gradients are written where they belong at once. Also
// torch.ops.mestre.qkv_attention.
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// qkv [B, L, (H + 2 G) D]: the query heads, the key heads, the value heads; fp32, fp64 or bf16, of any strides (read
/// in place where the last dimension is contiguous). cosines, sines [L, D/2]: both, or neither for no rotation. fp64
/// goes with fp64; fp32 and bf16 mix, arithmetic is then fp32. window and scale as in sliding_window_attention.
///
/// Returns o [B, L, H D] in the type of qkv and logsumexp [B, H, L], fp32 (fp64 for fp64), both contiguous.
///
/// Differentiable once, in qkv, through both results; saves qkv and logsumexp. Deterministic for any number of
/// threads. Throws c10::Error naming the argument, what was expected and what it got.
std::tuple<at::Tensor, at::Tensor> qkv_attention(const at::Tensor& qkv, std::int64_t heads, std::int64_t kv_heads,
                                                 std::int64_t window, double scale,
                                                 const std::optional<at::Tensor>& cosines = {},
                                                 const std::optional<at::Tensor>& sines = {});

/// The same of slices, rope and sliding_window_attention: what a device without a kernel of ours runs, and the bench's
/// peer.
std::tuple<at::Tensor, at::Tensor> qkv_attention_composition(const at::Tensor& qkv, std::int64_t heads,
                                                             std::int64_t kv_heads, std::int64_t window, double scale,
                                                             const std::optional<at::Tensor>& cosines,
                                                             const std::optional<at::Tensor>& sines);

}  // namespace mestre::kernels
