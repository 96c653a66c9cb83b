// A block of queries meets the keys a block at a time. With m the greatest score so far, each row keeps
//   Z = sum exp(s - m)   and   W = sum exp(s - m) (m - s),   so that entropy = log Z + W / Z.
// Both terms are positive, so no digits cancel, as they would between the log-sum-exp and the mean score. A block's
// sums are in T, those over blocks in double. Where a block brings a greater score m', with c = exp(m - m'):
//   Z' = c Z,   W' = c (W + (m' - m) Z)
#include "kernels/attention_entropy/cpu.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/simd.h"
#include "kernels/small_product.h"

namespace mestre::kernels {
namespace {

// Of a row of a block of keys. A power of two would put all rows in the same few sets of the first cache level.
constexpr std::int64_t kRow = kEntropyKeys + kProductPadding;

std::int64_t blocks_of(std::int64_t keys) {
  return (keys + kEntropyKeys - 1) / kEntropyKeys;
}

struct Row {
  double most = 0, sum = 0, weighted = 0;

  void raise_to(double greater) {
    const double c = std::exp(most - greater);
    weighted = c * (weighted + (greater - most) * sum);
    sum *= c;
    most = greater;
  }
  [[nodiscard]] double entropy() const { return std::log(sum) + weighted / sum; }
};

template <class T>
T largest(const T* scores, std::int64_t count) {
  T result = scores[0];
  simd::with_widest_registers([&]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    typename R::Value most = R::all(result);
    std::int64_t j = 0;
    for (; j + R::kLanes <= count; j += R::kLanes) most = R::larger(most, R::load(scores + j));
    result = R::largest(most);
    for (; j < count; ++j) result = scores[j] > result ? scores[j] : result;
  });
  return result;
}

/// Adds the scores of a block to a row.
template <class T>
void add_scores(const T* scores, std::int64_t count, Row& row) {
  const T most = largest(scores, count);
  if (row.sum == 0) {
    row.most = most;
  } else if (most > row.most) {
    row.raise_to(most);
  }
  simd::with_widest_registers([&]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    const T top = static_cast<T>(row.most);
    typename R::Value sums = {}, weighted = {};
    std::int64_t j = 0;
    for (; j + R::kLanes <= count; j += R::kLanes) {
      const typename R::Value below = top - R::load(scores + j), power = R::exp(-below);
      sums += power;
      weighted += power * below;
    }
    row.sum += R::sum(sums);
    row.weighted += R::sum(weighted);
    if (j == count) return;
    // A part of a register reads zeros behind its end: their powers must not count.
    const simd::Part<R> part = {count - j};
    const typename R::Value below = top - part.load(scores + j), power = R::exp(-below), product = power * below;
    for (std::int64_t i = 0; i < count - j; ++i) {
      row.sum += power[i];
      row.weighted += product[i];
    }
  });
}

}  // namespace

std::int64_t packed_keys(std::int64_t keys, std::int64_t size) {
  return blocks_of(keys) * size * kRow;
}

template <class T>
void pack_keys(const T* k, std::int64_t token, std::int64_t keys, std::int64_t size, T* packed) {
  std::fill_n(packed, packed_keys(keys, size), T(0));
  for (std::int64_t u = 0; u < keys; ++u) {
    T* column = packed + u / kEntropyKeys * size * kRow + u % kEntropyKeys;
    for (std::int64_t j = 0; j < size; ++j) column[j * kRow] = k[u * token + j];
  }
}

template <class T>
void entropy_of_block(const EntropyInput<T>& in, std::int64_t first, T* entropy) {
  const std::int64_t last = std::min(first + kEntropyQueries, in.queries), offset = in.keys - in.queries;
  const auto first_key = [&](std::int64_t query) {
    return in.window > 0 ? std::max<std::int64_t>(0, offset + query - in.window + 1) : 0;
  };
  std::vector<T> q(static_cast<std::size_t>(kEntropyQueries * in.size)), scores(kEntropyQueries * kRow);
  for (std::int64_t i = first; i < last; ++i)
    for (std::int64_t j = 0; j < in.size; ++j) q[(i - first) * in.size + j] = in.q[i * in.token + j] * in.scale;
  Row rows[kEntropyQueries];
  for (std::int64_t block = first_key(first) / kEntropyKeys; block * kEntropyKeys < offset + last; ++block) {
    const std::int64_t begin = block * kEntropyKeys, end = std::min(begin + kEntropyKeys, offset + last);
    small_product<T>(last - first, padded(end - begin), in.size, {q.data(), in.size, 1},
                     in.packed + block * in.size * kRow, kRow, scores.data(), kRow, false);
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t from = std::max(begin, first_key(i)), to = std::min(end, offset + i + 1);
      if (from < to) add_scores(scores.data() + (i - first) * kRow + from - begin, to - from, rows[i - first]);
    }
  }
  for (std::int64_t i = first; i < last; ++i) entropy[i] = static_cast<T>(rows[i - first].entropy());
}

template void pack_keys<float>(const float*, std::int64_t, std::int64_t, std::int64_t, float*);
template void pack_keys<double>(const double*, std::int64_t, std::int64_t, std::int64_t, double*);
template void entropy_of_block<float>(const EntropyInput<float>&, std::int64_t, float*);
template void entropy_of_block<double>(const EntropyInput<double>&, std::int64_t, double*);

}  // namespace mestre::kernels
