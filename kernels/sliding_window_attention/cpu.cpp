// For a block of queries Q (rotated, scaled) and the keys K, values V that it sees:
//   S = Q K^T;  P = softmax of each row over what the mask leaves;  O = P V
// and backwards, with P = exp(S - log-sum-exp) computed again:
//   dP = dO V^T;  dS = P * (dP - row sums of P * dP + dlog-sum-exp);  dV += P^T dO;  dQ = dS K;  dK += dS^T Q
// K^T and V^T are laid out once a head, so that each product runs along dense rows (small_product.h).
#include "kernels/sliding_window_attention/cpu.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/simd.h"
#include "kernels/small_product.h"

namespace mestre::kernels {
namespace {

constexpr std::int64_t kQueries = 48;  // of a block; a multiple of the product's tiles

/// A dense matrix of our own, rows padded for small_product, zero where nothing was written.
template <class T>
struct Matrix {
  Matrix(std::int64_t rows, std::int64_t columns)
      : row(padded(columns)), values(static_cast<std::size_t>(rows * row)) {}
  [[nodiscard]] T* at(std::int64_t i, std::int64_t j = 0) { return values.data() + i * row + j; }
  [[nodiscard]] Strided<T> from(std::int64_t i) { return {at(i), row, 1}; }
  /// Its transpose, from column j on.
  [[nodiscard]] Strided<T> transposed_from(std::int64_t j) { return {at(0, j), 1, row}; }

  std::int64_t row;
  std::vector<T> values;
};

/// Position of the first query among the keys.
std::int64_t offset(const AttentionShape& shape) {
  return shape.keys - shape.queries;
}

/// The first key that the query at `position` sees.
std::int64_t first_key(const AttentionShape& shape, std::int64_t position) {
  return shape.window > 0 ? std::max<std::int64_t>(0, position - shape.window + 1) : 0;
}

/// The block of queries [first, last) and the keys [keys, keys + count) that it needs; count includes padding.
struct Block {
  std::int64_t first, last, keys, count;
  [[nodiscard]] std::int64_t queries() const { return last - first; }
};

Block block_at(const AttentionShape& shape, std::int64_t first) {
  const std::int64_t last = std::min(first + kQueries, shape.queries);
  std::int64_t keys = first_key(shape, offset(shape) + first);
  keys -= keys % kProductPadding;
  return {.first = first, .last = last, .keys = keys, .count = padded(offset(shape) + last - keys)};
}

/// Most keys that any block needs.
std::int64_t most_keys(const AttentionShape& shape) {
  const std::int64_t all = padded(shape.keys);
  return shape.window > 0 ? std::min(all, padded(shape.window + kQueries + kProductPadding)) : all;
}

/// How many keys lie before the first that any query sees.
std::int64_t unseen_keys(const AttentionShape& shape) {
  return first_key(shape, offset(shape));
}

template <class T>
HeadRows<T> without_rows(HeadRows<T> rows, std::int64_t count) {
  if (rows.data != nullptr) rows.data += count * rows.token;
  return rows;
}

template <class T>
AttentionInput<T> without_unseen_keys(AttentionInput<T> in) {
  const std::int64_t unseen = unseen_keys(in.shape);
  in.shape.keys -= unseen;
  in.k = without_rows(in.k, unseen);
  in.v = without_rows(in.v, unseen);
  return in;
}

// Element j and j + p/2 of a row, turned by the angle of position t (backwards where `sign` is -1) and scaled.
template <class T>
void rotate_row(const T* from, T* to, std::int64_t p, const Rotation<T>& rotation, std::int64_t t, T sign, T scale) {
  if (rotation.cosines == nullptr) {
    for (std::int64_t j = 0; j < p; ++j) to[j] = from[j] * scale;
    return;
  }
  const std::int64_t half = p / 2;
  const T *cosines = rotation.cosines + t * half, *sines = rotation.sines + t * half;
  for (std::int64_t j = 0; j < half; ++j) {
    const T c = cosines[j] * scale, s = sines[j] * scale * sign, x = from[j], y = from[j + half];
    to[j] = x * c - y * s;
    to[j + half] = y * c + x * s;
  }
}

template <class T>
Matrix<T> transpose(const Matrix<T>& rows, std::int64_t count, std::int64_t columns) {
  Matrix<T> result(columns, count);
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t j = 0; j < columns; ++j)
      *result.at(j, i) = rows.values[static_cast<std::size_t>(i * rows.row + j)];
  return result;
}

/// Columns [begin, end) of a row of scores that query t may see.
struct Visible {
  std::int64_t begin, end;
};

Visible visible(const AttentionShape& shape, const Block& block, std::int64_t t) {
  const std::int64_t position = offset(shape) + t;
  return {.begin = first_key(shape, position) - block.keys, .end = position + 1 - block.keys};
}

// A row of scores to its exponentials less the largest; returns their sum and the largest. Zero outside of what is
// visible.
template <class T>
struct RowSum {
  T sum, largest;
};

template <class T>
RowSum<T> exponentials(T* row, std::int64_t count, Visible seen) {
  RowSum<T> result = {};
  simd::with_widest_registers([&]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    typename R::Value most = R::all(-std::numeric_limits<T>::max()), sums = {};
    T* visible_row = row + seen.begin;
    const std::int64_t visible_count = seen.end - seen.begin;
    std::int64_t j = 0;
    for (; j + R::kLanes <= visible_count; j += R::kLanes) most = R::larger(most, R::load(visible_row + j));
    T largest = R::largest(most);
    for (std::int64_t rest = j; rest < visible_count; ++rest)
      largest = visible_row[rest] > largest ? visible_row[rest] : largest;
    for (std::int64_t hidden = 0; hidden < seen.begin; ++hidden) row[hidden] = 0;
    simd::for_each_register<R>(visible_count, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
      const typename R::Value value = R::exp(access.load(visible_row + i) - largest);
      access.store(visible_row + i, value);
      sums += access.load(visible_row + i);
    });
    for (std::int64_t hidden = seen.end; hidden < count; ++hidden) row[hidden] = 0;
    result = {R::sum(sums), largest};
  });
  return result;
}

// Rows of scores S and of dP = dO V^T to probabilities and to dS, in place. The mean of dP is taken from the row
// itself, not as dO . O: O may have been rounded, and where a query sees one key its gradient is then exactly zero.
template <class T>
void score_gradients(T* scores, T* products, std::int64_t count, Visible seen, T log_sum_exp, T d_log_sum_exp) {
  simd::with_widest_registers([&]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    for (std::int64_t hidden = 0; hidden < seen.begin; ++hidden) scores[hidden] = products[hidden] = 0;
    T *s = scores + seen.begin, *d = products + seen.begin;
    typename R::Value sums = {};
    simd::for_each_register<R>(seen.end - seen.begin, [&](std::int64_t j, auto access) MESTRE_INLINE_LAMBDA {
      const typename R::Value probability = R::exp(access.load(s + j) - log_sum_exp);
      sums += probability * access.load(d + j);
      access.store(s + j, probability);
    });
    const T mean = R::sum(sums);
    simd::for_each_register<R>(seen.end - seen.begin, [&](std::int64_t j, auto access) MESTRE_INLINE_LAMBDA {
      access.store(d + j, access.load(s + j) * ((access.load(d + j) - mean) + d_log_sum_exp));
    });
    for (std::int64_t hidden = seen.end; hidden < count; ++hidden) scores[hidden] = products[hidden] = 0;
  });
}

/// Keys and values of the head as the passes need them.
template <class T>
struct Keys {
  explicit Keys(const AttentionInput<T>& in)
      : rows(padded(in.shape.keys), in.shape.size), values(padded(in.shape.keys), in.shape.size) {
    for (std::int64_t t = 0; t < in.shape.keys; ++t) {
      rotate_row(in.k.data + t * in.k.token, rows.at(t), in.shape.size, in.rotation, t, T(1), T(1));
      std::copy_n(in.v.data + t * in.v.token, in.shape.size, values.at(t));
    }
  }
  Matrix<T> rows;  // rotated
  Matrix<T> values;
};

template <class T>
void load_queries(const AttentionInput<T>& in, std::int64_t head, const Block& block, Matrix<T>& q) {
  for (std::int64_t t = block.first; t < block.last; ++t) {
    rotate_row(in.q.data + t * in.q.token + head * in.q.head, q.at(t - block.first), in.shape.size, in.rotation, t,
               T(1), in.scale);
  }
}

template <class T>
void load_gradients(const HeadRows<const T>& d_o, std::int64_t head, const Block& block, Matrix<T>& rows,
                    std::int64_t p) {
  for (std::int64_t t = block.first; t < block.last; ++t)
    std::copy_n(d_o.data + t * d_o.token + head * d_o.head, p, rows.at(t - block.first));
}

}  // namespace

template <class T>
void attention_forward(const AttentionInput<T>& input, const AttentionOutput<T>& out) {
  const AttentionInput<T> in = without_unseen_keys(input);
  const AttentionShape& shape = in.shape;
  const std::int64_t p = shape.size;
  Keys<T> keys(in);
  Matrix<T> keys_transposed = transpose(keys.rows, shape.keys, p);
  Matrix<T> q(kQueries, p), scores(kQueries, most_keys(shape)), sums(kQueries, p);
  for (std::int64_t head = 0; head < shape.shared; ++head) {
    for (std::int64_t first = 0; first < shape.queries; first += kQueries) {
      const Block block = block_at(shape, first);
      load_queries(in, head, block, q);
      small_product<T>(block.queries(), block.count, p, q.from(0), keys_transposed.at(0, block.keys),
                       keys_transposed.row, scores.at(0), scores.row, false);
      T scales[kQueries];
      for (std::int64_t t = block.first; t < block.last; ++t) {
        const RowSum<T> row = exponentials(scores.at(t - first), block.count, visible(shape, block, t));
        scales[t - first] = T(1) / row.sum;
        out.logsumexp[head * shape.queries + t] = row.largest + std::log(row.sum);
      }
      small_product<T>(block.queries(), sums.row, block.count, scores.from(0), keys.values.at(block.keys),
                       keys.values.row, sums.at(0), sums.row, false);
      for (std::int64_t t = block.first; t < block.last; ++t) {
        T* o = out.o.data + t * out.o.token + head * out.o.head;
        for (std::int64_t j = 0; j < p; ++j) o[j] = *sums.at(t - first, j) * scales[t - first];
      }
    }
  }
}

template <class T>
void attention_backward(const AttentionInput<T>& input, const T* logsumexp, const AttentionOutput<const T>& d_out,
                        const AttentionInputGradient<T>& gradient) {
  const AttentionInput<T> in = without_unseen_keys(input);
  const AttentionShape& shape = in.shape;
  const std::int64_t p = shape.size, unseen = unseen_keys(input.shape);
  Keys<T> keys(in);
  Matrix<T> keys_transposed = transpose(keys.rows, shape.keys, p),
            values_transposed = transpose(keys.values, shape.keys, p);
  Matrix<T> q(kQueries, p), d_rows(kQueries, p), dq_block(kQueries, p), scores(kQueries, most_keys(shape)),
      products(kQueries, most_keys(shape));
  Matrix<T> dkeys(padded(shape.keys), p), dvalues(padded(shape.keys), p);
  for (std::int64_t head = 0; head < shape.shared; ++head) {
    for (std::int64_t first = 0; first < shape.queries; first += kQueries) {
      const Block block = block_at(shape, first);
      const std::int64_t queries = block.queries();
      load_queries(in, head, block, q);
      load_gradients(d_out.o, head, block, d_rows, p);
      small_product<T>(queries, block.count, p, q.from(0), keys_transposed.at(0, block.keys), keys_transposed.row,
                       scores.at(0), scores.row, false);
      small_product<T>(queries, block.count, p, d_rows.from(0), values_transposed.at(0, block.keys),
                       values_transposed.row, products.at(0), products.row, false);
      for (std::int64_t t = block.first; t < block.last; ++t) {
        const std::int64_t row = head * shape.queries + t;
        score_gradients(scores.at(t - first), products.at(t - first), block.count, visible(shape, block, t),
                        logsumexp[row], d_out.logsumexp != nullptr ? d_out.logsumexp[row] : T(0));
      }
      small_product<T>(block.count, dvalues.row, queries, scores.transposed_from(0), d_rows.at(0), d_rows.row,
                       dvalues.at(block.keys), dvalues.row, true);
      small_product<T>(block.count, dkeys.row, queries, products.transposed_from(0), q.at(0), q.row,
                       dkeys.at(block.keys), dkeys.row, true);
      small_product<T>(queries, dq_block.row, block.count, products.from(0), keys.rows.at(block.keys), keys.rows.row,
                       dq_block.at(0), dq_block.row, false);
      for (std::int64_t t = block.first; t < block.last; ++t)
        rotate_row(dq_block.at(t - first), gradient.q.data + t * gradient.q.token + head * gradient.q.head, p,
                   in.rotation, t, T(-1), in.scale);
    }
  }
  for (std::int64_t t = 0; t < unseen; ++t) {
    std::fill_n(gradient.k.data + t * gradient.k.token, p, T(0));
    std::fill_n(gradient.v.data + t * gradient.v.token, p, T(0));
  }
  for (std::int64_t t = 0; t < shape.keys; ++t) {
    rotate_row(dkeys.at(t), gradient.k.data + (unseen + t) * gradient.k.token, p, in.rotation, t, T(-1), T(1));
    std::copy_n(dvalues.at(t), p, gradient.v.data + (unseen + t) * gradient.v.token);
  }
}

template void attention_forward<float>(const AttentionInput<float>&, const AttentionOutput<float>&);
template void attention_forward<double>(const AttentionInput<double>&, const AttentionOutput<double>&);
template void attention_backward<float>(const AttentionInput<float>&, const float*, const AttentionOutput<const float>&,
                                        const AttentionInputGradient<float>&);
template void attention_backward<double>(const AttentionInput<double>&, const double*,
                                         const AttentionOutput<const double>&, const AttentionInputGradient<double>&);

}  // namespace mestre::kernels
