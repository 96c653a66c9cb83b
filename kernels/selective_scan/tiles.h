// Moves the tokens of one chunk and one block of channels between memory (fp32 or bf16, any strides) and registers'
// worth of fp32.
//
// Internal linkage throughout, for the reason given in lanes.h.
#pragma once

#include <cstdint>

#include "kernels/selective_scan/cpu.h"
#include "kernels/selective_scan/lanes.h"

namespace mestre::kernels {
namespace {

constexpr int kTokens = kCheckpointTokens;

/// kLanes channels; fewer at the end, where the missing ones read as zero and are not written.
struct Block {
  std::int64_t channel;
  int lanes;
};

/// Up to kTokens tokens of one sequence.
struct Chunk {
  std::int64_t sequence, begin;
  int tokens;
};

MESTRE_INLINE int smaller(std::int64_t a, std::int64_t b) {
  return static_cast<int>(a < b ? a : b);
}

MESTRE_INLINE Lanes load_lanes(const float* from) {
  return load(from);
}
MESTRE_INLINE Lanes load_lanes(const std::uint16_t* from) {
  return load_bfloat16(from);
}
MESTRE_INLINE void store_lanes(float* to, Lanes value) {
  store(to, value);
}
MESTRE_INLINE void store_lanes(std::uint16_t* to, Lanes value) {
  store_bfloat16(to, value);
}

/// The first `count` lanes from memory, the others zero.
template <class T>
MESTRE_INLINE Lanes load_some(const T* from, int count) {
  if (count == kLanes) return load_lanes(from);
  T padded[kLanes] = {};
  for (int i = 0; i < count; ++i) padded[i] = from[i];
  return load_lanes(padded);
}

template <class T>
MESTRE_INLINE void store_some(T* to, int count, Lanes value) {
  if (count == kLanes) return store_lanes(to, value);
  T padded[kLanes];
  store_lanes(padded, value);
  for (int i = 0; i < count; ++i) to[i] = padded[i];
}

template <class T>
void load_tokens(const T* from, std::int64_t stride, const Chunk& chunk, int lanes, Lanes* to) {
  for (int t = 0; t < chunk.tokens; ++t) to[t] = load_some(from + t * stride, lanes);
}

template <class T>
void store_tokens(T* to, std::int64_t stride, const Chunk& chunk, int lanes, const Lanes* from) {
  for (int t = 0; t < chunk.tokens; ++t) store_some(to + t * stride, lanes, from[t]);
}

template <class AnyRows>
std::int64_t tile_offset(const AnyRows& rows, const Chunk& chunk, const Block& block) {
  return chunk.sequence * rows.batch_stride + chunk.begin * rows.token_stride + block.channel;
}

inline void load_tile(const ConstRows& rows, const Chunk& chunk, const Block& block, Lanes* to) {
  const std::int64_t at = tile_offset(rows, chunk, block);
  if (rows.element == Element::kFloat32) {
    load_tokens(static_cast<const float*>(rows.data) + at, rows.token_stride, chunk, block.lanes, to);
  } else {
    load_tokens(static_cast<const std::uint16_t*>(rows.data) + at, rows.token_stride, chunk, block.lanes, to);
  }
}

inline void store_tile(const Rows& rows, const Chunk& chunk, const Block& block, const Lanes* from) {
  const std::int64_t at = tile_offset(rows, chunk, block);
  if (rows.element == Element::kFloat32) {
    store_tokens(static_cast<float*>(rows.data) + at, rows.token_stride, chunk, block.lanes, from);
  } else {
    store_tokens(static_cast<std::uint16_t*>(rows.data) + at, rows.token_stride, chunk, block.lanes, from);
  }
}

}  // namespace
}  // namespace mestre::kernels
