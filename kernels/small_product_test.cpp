#include "kernels/small_product.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "kernels/test_support.h"

namespace mestre::kernels::testing {
namespace {

constexpr double kTolerance = 1e-5;  // the library adds in another order; of each value, and of 1

TEST(SmallProduct, MatchesTheLibrary) {
  at::manual_seed(10);
  for (const int bytes : kRegisterBytes) {
    const Registers registers(bytes);
    for (const std::int64_t m : {1, 2, 5, 11, 12, 13, 30, 48}) {
      for (const std::int64_t n : {16, 48, 112}) {
        const at::Tensor a = at::randn({m, 9}), b = at::randn({9, n}), c = at::randn({m, n});
        const at::Tensor expected = a.matmul(b);
        at::Tensor got = c.clone();
        small_product<float>(m, n, 9, {a.const_data_ptr<float>(), 9, 1}, b.const_data_ptr<float>(), n,
                             got.mutable_data_ptr<float>(), n, false);
        EXPECT_TRUE(got.allclose(expected, kTolerance, kTolerance)) << m << " x " << n;
        got = c.clone();
        const at::Tensor turned = a.t().contiguous();
        small_product<float>(m, n, 9, {turned.const_data_ptr<float>(), 1, m}, b.const_data_ptr<float>(), n,
                             got.mutable_data_ptr<float>(), n, true);
        EXPECT_TRUE(got.allclose(expected + c, kTolerance, kTolerance)) << m << " x " << n;
      }
    }
  }
}

}  // namespace
}  // namespace mestre::kernels::testing
