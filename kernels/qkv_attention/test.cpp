// Against what it stands for in fp64: slices, RoPE by complex numbers, and softmax over the whole matrix of scores.
#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "kernels/qkv_attention/qkv_attention.h"
#include "kernels/rope/rope.h"
#include "kernels/sliding_window_attention/sliding_window_attention.h"
#include "kernels/test_support.h"
#include "kernels/test_vectors.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

struct Case {
  std::int64_t length, heads, groups, size, window;
  bool rope;
  [[nodiscard]] double scale() const { return 1 / std::sqrt(static_cast<double>(size)); }
};

Tensor angles(const Case& c) {
  const Tensor frequency = at::pow(10000.0, at::arange(c.size / 2, at::kDouble) * (-2.0 / static_cast<double>(c.size)));
  return at::arange(c.length, at::kDouble).unsqueeze(1) * frequency;
}

Tensors some_inputs(const Case& c) {
  at::manual_seed(5);
  return {at::randn({2, c.length, (c.heads + 2 * c.groups) * c.size}, at::kDouble)};
}

using Function = std::tuple<Tensor, Tensor>(const Tensor&, std::int64_t, std::int64_t, std::int64_t, double,
                                            const std::optional<Tensor>&, const std::optional<Tensor>&);
Operation operation(Function& function, const Case& c) {
  return [&function, c](const Tensors& in) -> Tensors {
    std::optional<Tensor> cosines, sines;
    if (c.rope) {
      const at::ScalarType type = in[0].scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
      cosines = angles(c).cos().to(type);
      sines = angles(c).sin().to(type);
    }
    const auto [o, logsumexp] = function(in[0], c.heads, c.groups, c.window, c.scale(), cosines, sines);
    return {o, logsumexp};
  };
}

/// x [B, H, L, D].
Tensor turned(const Case& c, const Tensor& x) {
  if (!c.rope) return x;
  const std::int64_t half = c.size / 2;
  const Tensor cosines = angles(c).cos().to(x.scalar_type()), sines = angles(c).sin().to(x.scalar_type());
  const Tensor pair = at::complex(x.narrow(3, 0, half), x.narrow(3, half, half)) * at::complex(cosines, sines);
  return at::cat({at::real(pair), at::imag(pair)}, 3);
}

Operation definition(const Case& c) {
  return [c](const Tensors& in) -> Tensors {
    const auto parts = in[0]
                           .unflatten(2, {c.heads + 2 * c.groups, c.size})
                           .transpose(1, 2)
                           .split_with_sizes({c.heads, c.groups, c.groups}, 1);
    const std::int64_t shared = c.heads / c.groups;
    const Tensor q = turned(c, parts[0]), k = turned(c, parts[1]).repeat_interleave(shared, 1),
                 v = parts[2].repeat_interleave(shared, 1);
    const Tensor position = at::arange(c.length), distance = position.unsqueeze(1) - position;
    const Tensor hidden = c.window > 0 ? (distance < 0) | (distance >= c.window) : distance < 0;
    const Tensor scores = (at::matmul(q, k.transpose(2, 3)) * c.scale()).masked_fill(hidden, -INFINITY);
    return {at::matmul(scores.softmax(-1), v).transpose(1, 2).flatten(2), scores.logsumexp(-1)};
  };
}

class QkvAttention : public ::testing::TestWithParam<Case> {};

TEST_P(QkvAttention, AgreesWithItsDefinition) {
  const Case& c = GetParam();
  expect_as_good_as_plain(operation(qkv_attention, c), differentiated(definition(c)), some_inputs(c));
}

TEST_P(QkvAttention, AsACompositionAgreesWithItsDefinition) {
  const Case& c = GetParam();
  for (const at::ScalarType type : {at::kDouble, at::kFloat})
    expect_as_good_as_plain(operation(qkv_attention_composition, c), differentiated(definition(c)), some_inputs(c),
                            {type});
}

INSTANTIATE_TEST_SUITE_P(Lengths, QkvAttention,
                         ::testing::Values(Case{1, 1, 1, 8, 0, true}, Case{7, 2, 1, 4, 1, false},
                                           Case{16, 4, 2, 16, 8, true}, Case{17, 4, 4, 16, 8, false},
                                           Case{31, 2, 2, 12, 8, true}, Case{33, 4, 1, 32, 0, true},
                                           Case{63, 2, 2, 10, 62, true}, Case{64, 2, 2, 32, 64, true},
                                           Case{65, 2, 2, 32, 64, false}, Case{130, 3, 3, 20, 64, true},
                                           Case{200, 2, 1, 34, 48, true}, Case{257, 2, 2, 16, 0, true},
                                           Case{1000, 2, 2, 8, 250, true}),
                         [](const auto& each) {
                           const Case& c = each.param;
                           return "length" + std::to_string(c.length) + "_heads" + std::to_string(c.heads) + "_groups" +
                                  std::to_string(c.groups) + "_size" + std::to_string(c.size) + "_window" +
                                  std::to_string(c.window) + (c.rope ? "_rope" : "");
                         });

TEST(QkvAttentionOp, IsRopeAndSlidingWindowAttention) {
  const Case c = {50, 4, 2, 16, 20, true};
  const Tensor qkv = some_inputs(c)[0], all = qkv.unflatten(2, {8, 16});
  const Tensor cosines = angles(c).cos(), sines = angles(c).sin();
  const auto [o, logsumexp] = qkv_attention(qkv, 4, 2, 20, c.scale(), cosines, sines);
  const auto [parts, part_sums] =
      sliding_window_attention(rope(all.narrow(2, 0, 4), cosines, sines), rope(all.narrow(2, 4, 2), cosines, sines),
                               all.narrow(2, 6, 2), 20, c.scale());
  EXPECT_TRUE(o.allclose(parts.flatten(2), 1e-13, 1e-13));
  EXPECT_TRUE(logsumexp.allclose(part_sums, 1e-13, 1e-13));
}

TEST(QkvAttentionOp, ReadsSlicesAsTheyLie) {
  const Case c = {50, 4, 2, 16, 20, false};
  const Tensor qkv = some_inputs(c)[0], wide = at::full({2, 50, 200}, NAN, at::kDouble);
  wide.narrow(2, 30, 128).copy_(qkv);
  EXPECT_TRUE(at::equal(std::get<0>(qkv_attention(wide.narrow(2, 30, 128), 4, 2, 20, 1)),
                        std::get<0>(qkv_attention(qkv, 4, 2, 20, 1))));
}

TEST(QkvAttentionOp, GivesShapesAndTypesOnMeta) {
  const Tensor qkv = at::empty({2, 9, 128}, at::TensorOptions(at::kMeta).dtype(at::kBFloat16));
  const auto [o, logsumexp] = qkv_attention(qkv, 4, 2, 5, 1);
  EXPECT_EQ(o.sizes(), (at::IntArrayRef{2, 9, 64}));
  EXPECT_EQ(o.scalar_type(), at::kBFloat16);
  EXPECT_EQ(logsumexp.sizes(), (at::IntArrayRef{2, 4, 9}));
  EXPECT_EQ(logsumexp.scalar_type(), at::kFloat);
}

TEST(QkvAttentionOp, SaysWhichArgumentIsWrongAndWhatWasExpected) {
  const Tensor qkv = at::zeros({2, 9, 128}), table = at::zeros({9, 8});
  expect_error("qkv_attention: kv_heads: expected a divisor of heads, 4, got 3",
               [&] { qkv_attention(qkv, 4, 3, 0, 1); });
  expect_error("qkv_attention: qkv: expected a multiple of 12 (H + 2 G) channels, got 128",
               [&] { qkv_attention(qkv, 4, 4, 0, 1); });
  expect_error("qkv_attention: expected both of cosines and sines, or neither",
               [&] { qkv_attention(qkv, 4, 2, 0, 1, table); });
  expect_error("qkv_attention: sines: expected shape [9, 8] ([L, D/2]), got [8, 8]",
               [&] { qkv_attention(qkv, 4, 2, 0, 1, table, table.narrow(0, 0, 8)); });
}

}  // namespace
}  // namespace mestre::kernels::testing
