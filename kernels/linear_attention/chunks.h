// Linear attention chunk by chunk, from Torch's matrix products: what gated linear attention and retention share.
//
// Inside a chunk of T tokens the recurrence S_t = decay_t S_{t-1} + k_t^T v_t is unrolled into products of matrices;
// between chunks only the state passes. The two operations differ in how decays enter q, k and the scores, and hand
// that over as ChunkTerms. All is differentiable by autograd and runs on any device.
//
// N = B H heads of all sequences, n = b H + h. C chunks.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// How a length is cut into chunks, the last of which is padded.
struct ChunkPlan {
  std::int64_t length;  // L
  std::int64_t tokens;  // T, a power of two
  std::int64_t count;   // C

  std::int64_t padding() const { return count * tokens - length; }
  /// Tokens of chunk c that are not padding.
  std::int64_t filled(std::int64_t c) const { return c + 1 < count ? tokens : tokens - padding(); }
};

/// Chunks of at most `most_tokens`, a power of two; of fewer where the length is shorter.
ChunkPlan plan_chunks(std::int64_t length, std::int64_t most_tokens);

/// [B, L, H, X] of any strides and type -> [C, N, T, X], contiguous, in `type`; padded with `padding`.
at::Tensor cut(const ChunkPlan& plan, const at::Tensor& rows, at::ScalarType type, double padding = 0);

/// [C, N, T, X] -> [B, L, H, X], contiguous, in `type`.
at::Tensor join(const ChunkPlan& plan, const at::Tensor& chunks, std::int64_t batch, at::ScalarType type);

/// The chunks with their decays worked in. `through` is the product of the decays of some tokens.
struct ChunkTerms {
  at::Tensor scores;  // [C, N, T, T]: q_t through(s < r <= t) k_s for s <= t, else 0
  at::Tensor q;       // [C, N, T, K]: q_t through(r <= t)
  at::Tensor k;       // [C, N, T, K]: k_s through(s < r)
  at::Tensor v;       // [C, N, T, V]
  at::Tensor decay;   // [C, N, K or 1, 1]: through all of the chunk
};

struct AttentionResult {
  at::Tensor o;            // [C, N, T, V] from attend_chunks, [B, 1, H, V] from attend_token
  at::Tensor final_state;  // [B, H, K, V]
};

/// o_t = scores_t v + q_t S, S = decay S + k^T v, chunk after chunk. `initial_state` [B, H, K, V].
AttentionResult attend_chunks(const ChunkTerms& terms, const at::Tensor& initial_state);

/// One token, without chunks: q, k [B, 1, H, K], v [B, 1, H, V], decay [B or 1, H, K or 1, 1], all in the type of
/// `initial_state` [B, H, K, V].
AttentionResult attend_token(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& decay,
                             const at::Tensor& initial_state);

/// `initial_state`, or zeros where it is undefined: [B, H, K, V] in `type`.
at::Tensor state_before(const at::Tensor& initial_state, const at::Tensor& q, const at::Tensor& v, at::ScalarType type);

}  // namespace mestre::kernels
