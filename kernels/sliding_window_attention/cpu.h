// Causal attention of one key-value head and its query heads on the CPU, without Torch: pointers and sizes.
//
// The queries of a head are taken in blocks of a few dozen, each against the keys that any of them sees, so that
// neither time nor memory grows with length x length where there is a window. Rows of scores are whole, so softmax
// needs no second thought. Nothing is kept between calls. T is float or double; everything is computed in T.
// Deterministic.
#pragma once

#include <cstdint>

namespace mestre::kernels {

/// Where the rows of one sequence lie: row t of head j is at data + t * token + j * head, its elements side by side.
template <class T>
struct HeadRows {
  T* data = nullptr;
  std::int64_t token = 0, head = 0;
};

struct AttentionShape {
  std::int64_t queries = 0;  // Lq, the last of the keys' positions
  std::int64_t keys = 0;     // Lk >= Lq
  std::int64_t size = 0;     // D, elements of a head
  std::int64_t shared = 1;   // query heads that read this key-value head
  std::int64_t window = 0;   // keys that a query sees, itself included; 0: all up to itself
};

/// cos and sin of the angles [length, D/2] by which queries and keys are turned first (rope.h); null: not at all. Only
/// where there are as many queries as keys.
template <class T>
struct Rotation {
  const T* cosines = nullptr;
  const T* sines = nullptr;
};

/// What both passes read: the query heads that share a key-value head, and that head's keys and values.
template <class T>
struct AttentionInput {
  AttentionShape shape;
  T scale;
  Rotation<T> rotation;
  HeadRows<const T> q, k, v;
};

/// logsumexp [shared, Lq], of the scaled scores.
template <class T>
struct AttentionOutput {
  HeadRows<T> o;
  T* logsumexp;
};

template <class T>
struct AttentionInputGradient {  // overwritten
  HeadRows<T> q, k, v;
};

template <class T>
void attention_forward(const AttentionInput<T>& in, const AttentionOutput<T>& out);

/// `logsumexp` is what the forward pass left; d_out the gradients of its results, that of logsumexp may be null: zero.
template <class T>
void attention_backward(const AttentionInput<T>& in, const T* logsumexp, const AttentionOutput<const T>& d_out,
                        const AttentionInputGradient<T>& gradient);

}  // namespace mestre::kernels
