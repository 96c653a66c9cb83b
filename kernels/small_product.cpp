// A tile of C stays in registers while k runs: each step loads one row of B's tile and broadcasts one column of A's.
// The tile is as large as the registers allow (24 of AVX-512's 32, 12 of 16 elsewhere), so that the multiply-adds hide
// the loads.
#include "kernels/small_product.h"

#include "kernels/simd.h"

namespace mestre::kernels {
namespace {

template <class R, int Rows, int Columns, class T>
MESTRE_INLINE void tile(std::int64_t k, Strided<T> a, const T* b, std::int64_t b_row, T* c, std::int64_t c_row,
                        bool add) {
  typename R::Value sums[Rows][Columns] = {};
  if (add) {
    for (int i = 0; i < Rows; ++i)
      for (int j = 0; j < Columns; ++j) sums[i][j] = R::load(c + i * c_row + j * R::kLanes);
  }
  for (std::int64_t step = 0; step < k; ++step) {
    typename R::Value row[Columns];
    for (int j = 0; j < Columns; ++j) row[j] = R::load(b + step * b_row + j * R::kLanes);
    for (int i = 0; i < Rows; ++i) {
      const T scalar = a.data[i * a.row + step * a.column];
      for (int j = 0; j < Columns; ++j) sums[i][j] += scalar * row[j];
    }
  }
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j) R::store(c + i * c_row + j * R::kLanes, sums[i][j]);
}

// All rows of a panel of `Columns` registers: in tiles of Rows, then of half as many, down to one.
template <class R, int Rows, int Columns, class T>
MESTRE_INLINE void panel(std::int64_t m, std::int64_t k, Strided<T> a, const T* b, std::int64_t b_row, T* c,
                         std::int64_t c_row, bool add) {
  std::int64_t i = 0;
  for (; i + Rows <= m; i += Rows)
    tile<R, Rows, Columns>(k, {a.data + i * a.row, a.row, a.column}, b, b_row, c + i * c_row, c_row, add);
  if constexpr (Rows > 1)
    if (i < m)
      panel<R, Rows / 2, Columns>(m - i, k, Strided<T>{a.data + i * a.row, a.row, a.column}, b, b_row, c + i * c_row,
                                  c_row, add);
}

}  // namespace

template <class T>
void small_product(std::int64_t m, std::int64_t n, std::int64_t k, Strided<T> a, const T* b, std::int64_t b_row, T* c,
                   std::int64_t c_row, bool add) {
  simd::with_widest_registers([=]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    constexpr int kSums = Bytes == 64 ? 24 : 12;
    std::int64_t j = 0;
    for (; j + 4 * R::kLanes <= n; j += 4 * R::kLanes) panel<R, kSums / 4, 4>(m, k, a, b + j, b_row, c + j, c_row, add);
    for (; j + 2 * R::kLanes <= n; j += 2 * R::kLanes) panel<R, kSums / 2, 2>(m, k, a, b + j, b_row, c + j, c_row, add);
    for (; j < n; j += R::kLanes) panel<R, kSums / 2, 1>(m, k, a, b + j, b_row, c + j, c_row, add);
  });
}

template void small_product<float>(std::int64_t, std::int64_t, std::int64_t, Strided<float>, const float*, std::int64_t,
                                   float*, std::int64_t, bool);
template void small_product<double>(std::int64_t, std::int64_t, std::int64_t, Strided<double>, const double*,
                                    std::int64_t, double*, std::int64_t, bool);

}  // namespace mestre::kernels
