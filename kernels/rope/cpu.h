// RoPE's rotation of rows on the CPU, without Torch. T is float or double.
#pragma once

#include <cstdint>

namespace mestre::kernels {

/// One token of one sequence: heads [first … ) that lie `from_head` apart, each of `size` elements side by side.
template <class T>
struct RopeToken {
  const T* from;
  std::int64_t from_head;
  T* to;  // [heads, size]
  std::int64_t heads, size;
  const T *cosines, *sines;  // [size / 2], of its position
};

template <class T>
void rope_token(const RopeToken<T>& token);

}  // namespace mestre::kernels
