// The attention of mega_s6: softmax inside chunks that do not overlap, over keys and values of different widths.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace mestre {

/// The queries are the last L of S positions that begin at the start of a chunk: q [B, L, z], k [B, S, z], v [B, S, d],
/// S >= L, to [B, L, d]. A query sees the keys of its own chunk up to itself; scores are q k^T as they are given.
/// Differentiable once; computed again in the backward pass, so that no scores are kept.
[[nodiscard]] at::Tensor attend_in_chunks(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                          std::int64_t chunk);

}  // namespace mestre
