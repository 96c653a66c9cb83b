#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "kernels/rope/rope.h"
#include "kernels/test_support.h"
#include "kernels/test_vectors.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

/// cos and sin of the angles t 10000^(-2j/D).
Tensors tables(std::int64_t length, std::int64_t size) {
  const Tensor pair = at::arange(size / 2, at::kDouble);
  const Tensor frequency = at::pow(10000.0, pair * (-2.0 / static_cast<double>(size)));
  const Tensor angle = at::arange(length, at::kDouble).unsqueeze(1) * frequency;
  return {angle.cos(), angle.sin()};
}

Tensors some_inputs(std::int64_t length, std::int64_t heads, std::int64_t size) {
  at::manual_seed(length + size);
  Tensors inputs = {at::randn({2, length, heads, size}, at::kDouble)};
  for (const Tensor& table : tables(length, size)) inputs.push_back(table);
  return inputs;
}

/// The pair (j, j + D/2) as a complex number, times e^(i angle).
Tensors by_complex_numbers(const Tensors& in) {
  const std::int64_t half = in[0].size(3) / 2;
  const Tensor pair = at::complex(in[0].narrow(3, 0, half), in[0].narrow(3, half, half));
  const Tensor turned = pair * at::complex(in[1], in[2]).detach().unsqueeze(1);
  return {at::cat({at::real(turned), at::imag(turned)}, 3)};
}

Tensors ours(const Tensors& in) {
  return {rope(in[0], in[1].detach(), in[2].detach())};
}

TEST(Rope, AgreesWithComplexNumbers) {
  for (const std::int64_t length : {1, 63, 64, 65, 1000}) {
    for (const std::int64_t size : {2, 14, 32, 66}) {
      SCOPED_TRACE(std::to_string(length) + " tokens, heads of " + std::to_string(size));
      expect_as_good_as_plain(ours, differentiated(by_complex_numbers), some_inputs(length, 3, size));
    }
  }
}

TEST(Rope, AsACompositionAgreesWithComplexNumbers) {
  const Operation composition = [](const Tensors& in) -> Tensors {
    return {rope_composition(in[0], in[1].detach(), in[2].detach())};
  };
  expect_as_good_as_plain(composition, differentiated(by_complex_numbers), some_inputs(65, 3, 14));
}

TEST(Rope, TakesFp32AnglesWithBf16Rows) {
  expect_as_good_as_plain(ours, differentiated(by_complex_numbers), some_inputs(65, 3, 14),
                          {at::kBFloat16, at::kFloat, at::kFloat});
}

TEST(Rope, ReadsSlicesAndTransposesAsTheyLie) {
  const Tensors in = some_inputs(20, 3, 14);
  const Tensor y = rope(in[0], in[1], in[2]);
  const Tensor wide = at::full({2, 20, 9, 14}, NAN, at::kDouble);
  wide.narrow(2, 4, 3).copy_(in[0]);
  const Tensor turned = in[0].transpose(1, 3).contiguous().transpose(1, 3);
  EXPECT_TRUE(at::equal(rope(wide.narrow(2, 4, 3), in[1], in[2]), y));
  EXPECT_TRUE(at::equal(rope(turned, in[1], in[2]), y));
}

// Scores depend on the distance alone.
TEST(Rope, TurnsScoresByDistance) {
  const Tensors angles = tables(40, 16);
  at::manual_seed(3);
  const Tensor q = at::randn({1, 1, 1, 16}, at::kDouble).expand({1, 40, 1, 16}),
               k = at::randn({1, 1, 1, 16}, at::kDouble).expand({1, 40, 1, 16});
  const Tensor turned_q = rope(q, angles[0], angles[1]), turned_k = rope(k, angles[0], angles[1]);
  const auto score = [&](std::int64_t i, std::int64_t j) {
    return (turned_q.select(1, i) * turned_k.select(1, j)).sum().item<double>();
  };
  EXPECT_NEAR(score(30, 23), score(17, 10), 1e-12);
  EXPECT_GT(std::abs(score(30, 23) - score(30, 22)), 1e-3);
}

TEST(Rope, SaysWhichArgumentIsWrongAndWhatWasExpected) {
  const Tensor x = at::zeros({2, 9, 3, 8}), table = at::zeros({9, 4});
  expect_error("rope: x: expected an even head size, got 7", [&] { rope(x.narrow(3, 0, 7), table, table); });
  expect_error("rope: cosines: expected shape [9, 4] ([L, D/2], L and D from x), got [8, 4]",
               [&] { rope(x, table.narrow(0, 0, 8), table); });
  expect_error("rope: sines: expected float32 or bfloat16 (to go with x), got Double",
               [&] { rope(x, table, table.to(at::kDouble)); });
}

}  // namespace
}  // namespace mestre::kernels::testing
