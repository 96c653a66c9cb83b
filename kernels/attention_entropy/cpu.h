// Entropy of attention on the CPU, without Torch: pointers and sizes. T is float or double.
#pragma once

#include <cstdint>

namespace mestre::kernels {

/// Queries of a task, and keys of a block.
constexpr std::int64_t kEntropyQueries = 48, kEntropyKeys = 256;

/// Elements that pack_keys writes for one key head.
std::int64_t packed_keys(std::int64_t keys, std::int64_t size);

/// k [keys, size], rows `token` apart, to blocks of transposed keys.
template <class T>
void pack_keys(const T* k, std::int64_t token, std::int64_t keys, std::int64_t size, T* packed);

/// The queries of one head of one sequence, rows `token` apart; they are the last of the keys' positions.
template <class T>
struct EntropyInput {
  std::int64_t queries, keys, size;
  std::int64_t window;  // 0: all
  T scale;
  const T* q;
  std::int64_t token;
  const T* packed;  // of its key head
};

/// Queries [first, first + kEntropyQueries), as far as there are any, to entropy[first …].
template <class T>
void entropy_of_block(const EntropyInput<T>& in, std::int64_t first, T* entropy);

}  // namespace mestre::kernels
