// The order in which training reads its blocks: a pseudo-random permutation per epoch, computed, not stored.
//
// The corpus is cut into blocks of length + 1 tokens, one behind the other, with no document mask. Sequence number s
// (0, 1, 2 …, counted over the whole run) reads block permuted(s % blocks, blocks, seed, epoch = s / blocks); so the
// position in the data is just the number of sequences consumed, and resuming needs nothing else. Pure and thread-safe.
// The order is part of a job's identity (kSamplerVersion): the functions are frozen, and vectors in sampler_test.cpp
// hold them fast.
#pragma once

#include <cstdint>

namespace mestre {

/// The image of `index` under the permutation of [0, size) that belongs to (seed, epoch). 0 <= index < size.
[[nodiscard]] std::uint64_t permuted(std::uint64_t index, std::uint64_t size, std::uint64_t seed, std::uint64_t epoch);

class BlockSampler {
 public:
  /// `tokens` in the corpus, `length` of context. Throws Error (bad_input) where the corpus has no whole block.
  BlockSampler(std::int64_t tokens, std::int64_t length, std::int64_t seed);
  [[nodiscard]] std::int64_t blocks() const { return blocks_; }
  /// First token of the block that sequence `sequence` (at least 0) reads; the block is length + 1 tokens long.
  [[nodiscard]] std::int64_t begin(std::int64_t sequence) const;

 private:
  std::int64_t blocks_;
  std::int64_t stride_;
  std::uint64_t seed_;
};

}  // namespace mestre
