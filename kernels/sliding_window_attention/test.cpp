#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "kernels/sliding_window_attention/reference.h"
#include "kernels/sliding_window_attention/sliding_window_attention.h"
#include "kernels/test_support.h"
#include "kernels/test_vectors.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

struct Case {
  std::int64_t queries, keys, heads, groups, size, window;
  [[nodiscard]] double scale() const { return 1 / std::sqrt(static_cast<double>(size)); }
};

constexpr std::int64_t kBatch = 2;

Tensors some_inputs(const Case& c) {
  at::manual_seed(c.keys * 7 + c.window);
  const auto draw = [](at::IntArrayRef shape) { return at::randn(shape, at::kDouble); };
  return {draw({kBatch, c.queries, c.heads, c.size}), draw({kBatch, c.keys, c.groups, c.size}),
          draw({kBatch, c.keys, c.groups, c.size})};
}

template <class Real>
Tensors reference_results(const Case& c, const Tensors& in, const Tensors& d) {
  const AttentionReferenceShape shape = {kBatch, c.queries, c.keys, c.heads, c.groups, c.size, c.window, c.scale()};
  const AttentionReferenceInput<Real> input = {values<Real>(in[0]), values<Real>(in[1]), values<Real>(in[2])};
  const auto out = reference_forward(shape, input);
  const auto gradient =
      reference_backward(shape, input, AttentionReferenceOutput<Real>{values<Real>(d[0]), values<Real>(d[1])});
  return {tensor(out.o, in[0].sizes()), tensor(out.logsumexp, {kBatch, c.heads, c.queries}),
          tensor(gradient.q, in[0].sizes()), tensor(gradient.k, in[1].sizes()), tensor(gradient.v, in[2].sizes())};
}

Equation equation(const Case& c) {
  return [c](const Tensors& in, const Tensors& d) {
    return in[0].scalar_type() == at::kDouble ? reference_results<double>(c, in, d)
                                              : reference_results<float>(c, in, d);
  };
}

using Function = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, std::int64_t, double);
Operation operation(Function& function, const Case& c) {
  return [&function, c](const Tensors& in) -> Tensors {
    const auto [o, logsumexp] = function(in[0], in[1], in[2], c.window, c.scale());
    return {o, logsumexp};
  };
}

class SlidingWindowAttention : public ::testing::TestWithParam<Case> {};

TEST_P(SlidingWindowAttention, AgreesWithTheReference) {
  const Case& c = GetParam();
  expect_as_good_as_plain(operation(sliding_window_attention, c), equation(c), some_inputs(c));
}

TEST_P(SlidingWindowAttention, AsACompositionAgreesWithTheReference) {
  const Case& c = GetParam();
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16})
    expect_as_good_as_plain(operation(sliding_window_attention_composition, c), equation(c), some_inputs(c),
                            {type, type, type});
}

std::string name_of(const ::testing::TestParamInfo<Case>& each) {
  const Case& c = each.param;
  return "queries" + std::to_string(c.queries) + "_keys" + std::to_string(c.keys) + "_heads" + std::to_string(c.heads) +
         "_groups" + std::to_string(c.groups) + "_size" + std::to_string(c.size) + "_window" + std::to_string(c.window);
}

INSTANTIATE_TEST_SUITE_P(Lengths, SlidingWindowAttention,
                         ::testing::Values(Case{1, 1, 1, 1, 8, 0}, Case{63, 63, 2, 1, 7, 0}, Case{64, 64, 4, 2, 16, 8},
                                           Case{65, 65, 3, 3, 20, 48}, Case{1000, 1000, 2, 1, 16, 100},
                                           Case{530, 530, 1, 1, 33, 0}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Windows, SlidingWindowAttention,
                         ::testing::Values(Case{70, 70, 2, 2, 12, 1}, Case{70, 70, 2, 2, 12, 69},
                                           Case{70, 70, 2, 2, 12, 70}, Case{70, 70, 2, 2, 12, 71}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(FewerQueries, SlidingWindowAttention,
                         ::testing::Values(Case{1, 100, 4, 2, 16, 0}, Case{1, 100, 4, 2, 16, 33},
                                           Case{60, 100, 2, 2, 16, 7}, Case{5, 300, 2, 1, 9, 0}),
                         name_of);

TEST(SlidingWindowAttentionOp, WithFewerQueriesIsTheTailOfAll) {
  for (const std::int64_t window : {0, 7, 64}) {
    const Case c = {150, 150, 4, 2, 20, window};
    const Tensors in = some_inputs(c);
    const Tensor q = in[0].to(at::kFloat), k = in[1].to(at::kFloat), v = in[2].to(at::kFloat);
    const auto [o, logsumexp] = sliding_window_attention(q, k, v, window, c.scale());
    for (const std::int64_t queries : {1, 13, 50, 149}) {
      const std::int64_t first = 150 - queries;
      const auto [tail, tail_sums] = sliding_window_attention(q.narrow(1, first, queries), k, v, window, c.scale());
      EXPECT_TRUE(at::equal(tail, o.narrow(1, first, queries))) << window << ", " << queries;
      EXPECT_TRUE(at::equal(tail_sums, logsumexp.narrow(2, first, queries))) << window << ", " << queries;
    }
  }
}

// Moving the token w - 1 back moves the query, moving the one w back leaves its bits alone.
TEST(SlidingWindowAttentionOp, ShowsExactlyItsWindow) {
  const std::int64_t length = 140, query = 130;
  for (const std::int64_t window : {1, 8, 48, 64, 100}) {
    const Case c = {length, length, 2, 2, 16, window};
    const Tensors in = some_inputs(c);
    const auto moved = [&](std::int64_t position) {
      Tensor k = in[1].to(at::kFloat), v = in[2].to(at::kFloat);
      k.select(1, position).add_(1);
      v.select(1, position).add_(1);
      return std::get<0>(sliding_window_attention(in[0].to(at::kFloat), k, v, window, c.scale())).select(1, query);
    };
    const Tensor before = std::get<0>(sliding_window_attention(in[0].to(at::kFloat), in[1].to(at::kFloat),
                                                               in[2].to(at::kFloat), window, c.scale()))
                              .select(1, query);
    EXPECT_FALSE(at::equal(moved(query - window + 1), before)) << window;
    EXPECT_FALSE(at::equal(moved(query), before)) << window;
    EXPECT_TRUE(at::equal(moved(query - window), before)) << window;
    EXPECT_TRUE(at::equal(moved(query + 1), before)) << window;
  }
}

TEST(SlidingWindowAttentionOp, ReadsSlicesAndTransposesAsTheyLie) {
  const Case c = {65, 65, 4, 4, 16, 30};
  const Tensors in = some_inputs(c);
  const Tensor packed = at::cat({in[0], in[1], in[2]}, 2);
  const auto [o, logsumexp] = sliding_window_attention(in[0], in[1], in[2], c.window, c.scale());
  const auto [same, same_sums] = sliding_window_attention(packed.narrow(2, 0, 4), packed.narrow(2, 4, 4),
                                                          packed.narrow(2, 8, 4), c.window, c.scale());
  EXPECT_TRUE(at::equal(o, same) && at::equal(logsumexp, same_sums));
  const auto turned = [](const Tensor& t, std::int64_t a, std::int64_t b) {
    return t.transpose(a, b).contiguous().transpose(a, b);
  };
  const auto [again, again_sums] =
      sliding_window_attention(turned(in[0], 1, 2), turned(in[1], 1, 3), turned(in[2], 0, 1), c.window, c.scale());
  EXPECT_TRUE(at::equal(o, again) && at::equal(logsumexp, again_sums));
}

TEST(SlidingWindowAttentionOp, MergesByItsLogSumExp) {
  const Case c = {40, 40, 2, 2, 16, 0};
  const Tensors in = some_inputs(c);
  const Tensor last = in[0].narrow(1, 39, 1);
  const auto [o, logsumexp] = sliding_window_attention(last, in[1], in[2], 0, c.scale());
  const auto part = [&](std::int64_t first, std::int64_t count) {
    return sliding_window_attention(last, in[1].narrow(1, first, count), in[2].narrow(1, first, count), 0, c.scale());
  };
  const auto [a, a_sum] = part(0, 15);
  const auto [b, b_sum] = part(15, 25);
  EXPECT_TRUE(logsumexp.allclose(at::logaddexp(a_sum, b_sum), 1e-13));
  const auto weight = [&](const Tensor& sum) { return (sum - logsumexp).exp().transpose(1, 2).unsqueeze(3); };
  EXPECT_TRUE(o.allclose(a * weight(a_sum) + b * weight(b_sum), 1e-12));
}

TEST(SlidingWindowAttentionOp, DiffersNotByABitBetweenOneThreadAndTwo) {
  const Case c = {200, 200, 4, 2, 16, 50};
  const Tensors in = some_inputs(c);
  const auto results = [&](int threads) {
    at::set_num_threads(threads);
    Tensors given;
    for (const Tensor& tensor : in) given.push_back(tensor.to(at::kFloat).requires_grad_());
    const auto [o, logsumexp] = sliding_window_attention(given[0], given[1], given[2], c.window, c.scale());
    (o.sum() + logsumexp.sum()).backward();
    return Tensors{o.detach(), given[0].grad(), given[1].grad(), given[2].grad()};
  };
  const int before = at::get_num_threads();
  const Tensors one = results(1), two = results(2);
  at::set_num_threads(before);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], two[i])) << i;
}

TEST(SlidingWindowAttentionOp, GivesShapesAndTypesOnMeta) {
  const at::TensorOptions options = at::TensorOptions(at::kMeta).dtype(at::kBFloat16);
  const Tensor q = at::empty({2, 3, 4, 16}, options), k = at::empty({2, 9, 2, 16}, options);
  const auto [o, logsumexp] = sliding_window_attention(q, k, k, 5, 1);
  EXPECT_EQ(o.sizes(), q.sizes());
  EXPECT_EQ(o.scalar_type(), at::kBFloat16);
  EXPECT_EQ(logsumexp.sizes(), (at::IntArrayRef{2, 4, 3}));
  EXPECT_EQ(logsumexp.scalar_type(), at::kFloat);
}

TEST(SlidingWindowAttentionOp, SaysWhichArgumentIsWrongAndWhatWasExpected) {
  const Tensor q = at::zeros({2, 3, 4, 16}), k = at::zeros({2, 9, 2, 16});
  const auto call = [&](const Tensor& keys, const Tensor& values, std::int64_t window = 0) {
    return [=] { sliding_window_attention(q, keys, values, window, 1); };
  };
  const std::string name = "sliding_window_attention: ";
  expect_error(name + "k: expected shape [2, 9, 2, 16] ([B, Lk, G, D], B and D from q), got [2, 9, 2, 8]",
               call(k.narrow(3, 0, 8), k));
  expect_error(name + "v: expected shape [2, 9, 2, 16] ([B, Lk, G, D], as k), got [2, 8, 2, 16]",
               call(k, k.narrow(1, 0, 8)));
  expect_error(name + "k: expected at least as many keys as queries, 3, got 2",
               call(k.narrow(1, 0, 2), k.narrow(1, 0, 2)));
  expect_error(name + "k: expected a number of heads that divides that of q, 4, got 3",
               call(at::zeros({2, 9, 3, 16}), at::zeros({2, 9, 3, 16})));
  expect_error(name + "v: expected float32 or bfloat16 (to go with q), got Double", call(k, k.to(at::kDouble)));
  expect_error(name + "window: expected 0 (all) or a number of keys, got -1", call(k, k, -1));
}

}  // namespace
}  // namespace mestre::kernels::testing
