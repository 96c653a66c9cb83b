// RMSNorm of rows on the CPU, with a residual or a gate or neither, without Torch. T is float or double; matrices are
// dense, [rows, width].
#pragma once

#include <cstdint>

namespace mestre::kernels {

template <class T>
struct NormInput {
  std::int64_t width;
  T epsilon;
  const T* x;
  const T* weight;    // [width]
  const T* residual;  // null: none
  const T* gate;      // null: none; not together with a residual or its gradient
};

/// sum = residual + x, where there is a residual.
template <class T>
struct NormOutput {
  T* y;
  T* sum;
};

/// d_sum, where there is a residual and its gradient, is added to that of x, which is then that of the residual too.
template <class T>
struct NormOutputGradient {
  const T* y;
  const T* sum;
};

template <class T>
struct NormInputGradient {
  T* x;
  T* weight;  // added to
  T* gate;
};

template <class T>
void norm_rows(std::int64_t first, std::int64_t last, const NormInput<T>& in, const NormOutput<T>& out);

/// in.x is the sum where there was a residual, and in.residual null.
template <class T>
void norm_rows_backward(std::int64_t first, std::int64_t last, const NormInput<T>& in, const NormOutputGradient<T>& d,
                        const NormInputGradient<T>& gradient);

}  // namespace mestre::kernels
