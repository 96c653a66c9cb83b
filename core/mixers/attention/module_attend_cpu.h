// Causal attention of one key-value head and its query heads on the CPU, without Torch: pointers and sizes.
//
// The queries of a head are taken in blocks of a few dozen, each against the keys that any of them sees, so that
// neither time nor memory grows with length x length where there is a window. Rows of scores are whole, so softmax
// needs no second thought. Nothing is kept between calls. T is float or double; everything is computed in T.
// Deterministic.
#pragma once

#include <cstdint>
#include <vector>

namespace mestre {

/// Where the rows of one sequence lie: row t of head j is at data + t * token + j * head, its elements dense.
template <class T>
struct HeadRows {
  T* data = nullptr;
  std::int64_t token = 0;
};

struct AttendShape {
  std::int64_t length = 0;
  std::int64_t size = 0;    // p, elements of a head
  std::int64_t shared = 1;  // query heads that read this key-value head
  std::int64_t window = 0;  // keys that a query sees; 0: all up to itself
};

/// cos and sin of the angles [length, size / 2]; null: no rotation.
template <class T>
struct Rotation {
  const T* cosines = nullptr;
  const T* sines = nullptr;
};

/// What both passes read. Queries of the heads that share k and v lie `size` apart.
template <class T>
struct AttendInput {
  AttendShape shape;
  Rotation<T> rotation;
  HeadRows<const T> q, k, v;
};

/// o as q lies; log_sum_exp [shared, length], of the scaled scores.
template <class T>
void attend_forward(const AttendInput<T>& input, HeadRows<T> o, T* log_sum_exp);

/// Gradients of q, k and v, overwritten, from o, its gradient and what the forward pass left.
template <class T>
void attend_backward(const AttendInput<T>& input, HeadRows<const T> o, HeadRows<const T> do_, const T* log_sum_exp,
                     HeadRows<T> dq, HeadRows<T> dk, HeadRows<T> dv);

}  // namespace mestre
