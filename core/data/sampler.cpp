// A permutation of [0, size) without a table: a balanced Feistel network over the next even power of two, with cycle
// walking.
//
// A Feistel round (left, right) -> (right, left ^ f(right)) can be undone whatever f is, so rounds in a row permute [0,
// 4^half_bits). Where an image falls outside [0, size), it is put through the network again until one falls inside: the
// walk follows the cycle of the network's permutation that contains `index`, which must come back to [0, size) because
// it comes back to `index`, and two walks cannot end in the same place because the network can be undone. The domain is
// less than four times `size`, so four applications are expected at most; for tiny sizes it is held at 256, where
// halves of one bit would give too few permutations.
//
// f mixes the right half with a key per round by the finaliser of splitmix64 (Stafford's variant 13). Luby and Rackoff:
// four rounds of random functions look random; eight are taken because the halves of small corpora have few bits, and
// eight cost nothing beside a training step.
#include "core/data/sampler.h"

#include <bit>

#include <fmt/format.h>

#include "core/base/error.h"

namespace mestre {
namespace {

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio: splitmix64's increment
constexpr unsigned kRounds = 8;
constexpr unsigned kLeastHalfBits = 4;

constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

class Network {
 public:
  Network(std::uint64_t size, std::uint64_t seed, std::uint64_t epoch) {
    const auto bits = static_cast<unsigned>(std::bit_width(size - 1));
    half_bits_ = bits <= 2 * kLeastHalfBits ? kLeastHalfBits : (bits + 1) / 2;
    // Seed and epoch go through the mixer one after the other, so that no arithmetic between them makes two pairs
    // alike.
    const std::uint64_t state = mix((mix(seed + kGolden) ^ epoch) + kGolden);
    for (unsigned round = 0; round < kRounds; ++round) keys_[round] = mix(state + (round + 1) * kGolden);
  }

  [[nodiscard]] std::uint64_t apply(std::uint64_t value) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    std::uint64_t left = value >> half_bits_;
    std::uint64_t right = value & mask;
    for (const std::uint64_t key : keys_) {
      const std::uint64_t next = left ^ (mix(right ^ key) >> (64 - half_bits_));
      left = right;
      right = next;
    }
    return left << half_bits_ | right;
  }

 private:
  unsigned half_bits_;
  std::uint64_t keys_[kRounds];
};

}  // namespace

std::uint64_t permuted(std::uint64_t index, std::uint64_t size, std::uint64_t seed, std::uint64_t epoch) {
  if (index >= size) throw Error(ErrorCode::kBug, fmt::format("a permutation of {} has no element {}", size, index));
  const Network network(size, seed, epoch);
  do index = network.apply(index);
  while (index >= size);
  return index;
}

BlockSampler::BlockSampler(std::int64_t tokens, std::int64_t length, std::int64_t seed)
    : blocks_(0), stride_(length + 1), seed_(static_cast<std::uint64_t>(seed)) {
  if (length < 1) throw Error(ErrorCode::kBadInput, fmt::format("blocks of {} tokens cannot be read", length));
  blocks_ = tokens / stride_;
  if (blocks_ < 1)
    throw Error(ErrorCode::kBadInput,
                fmt::format("the training data have {} tokens, too few for one block of {} + 1", tokens, length))
        .hint("train on more text, or lower train.sequence_length");
}

std::int64_t BlockSampler::begin(std::int64_t sequence) const {
  if (sequence < 0) throw Error(ErrorCode::kBug, fmt::format("sequence {} was asked for", sequence));
  const auto number = static_cast<std::uint64_t>(sequence);
  const auto blocks = static_cast<std::uint64_t>(blocks_);
  return static_cast<std::int64_t>(permuted(number % blocks, blocks, seed_, number / blocks)) * stride_;
}

}  // namespace mestre
