// Products of matrices that fit a core's cache, without any packing: for loops that multiply many small blocks, where a
// library's call costs more than the product.
#pragma once

#include <cstdint>

namespace mestre::kernels {

/// Elements of a row of B and C must be a multiple of this apart from the last register's worth, which is read and
/// written whole: rows are padded to it.
inline constexpr std::int64_t kProductPadding = 16;

[[nodiscard]] constexpr std::int64_t padded(std::int64_t columns) {
  return (columns + kProductPadding - 1) / kProductPadding * kProductPadding;
}

/// A [m, k] with any strides between its rows and its columns.
template <class T>
struct Strided {
  const T* data;
  std::int64_t row, column;
};

/// C = A B, or C += A B where `add`. B [k, n] and C [m, n] have dense rows, `b_row` and `c_row` apart; n is a multiple
/// of kProductPadding. T is float or double. Each element is summed over k in order, so the result does not depend on
/// how blocks are cut.
template <class T>
void small_product(std::int64_t m, std::int64_t n, std::int64_t k, Strided<T> a, const T* b, std::int64_t b_row, T* c,
                   std::int64_t c_row, bool add);

}  // namespace mestre::kernels
