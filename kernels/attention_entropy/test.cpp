#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "kernels/attention_entropy/attention_entropy.h"
#include "kernels/sliding_window_attention/reference.h"
#include "kernels/test_support.h"
#include "kernels/test_vectors.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

// Of each entropy: 1e-6 is what the contract says of fp32, and of bf16, whose arithmetic is fp32.
double tolerance_for(at::ScalarType type) {
  return type == at::kDouble ? 1e-12 : 1e-6;
}

struct Case {
  std::int64_t queries, keys, heads, groups, size, window;
  double spread = 1;  // of the scores
};

Tensors some_inputs(const Case& c) {
  at::manual_seed(c.keys + c.window);
  return {at::randn({2, c.queries, c.heads, c.size}, at::kDouble) * c.spread,
          at::randn({2, c.keys, c.groups, c.size}, at::kDouble)};
}

double scale_of(const Case& c) {
  return 1 / std::sqrt(static_cast<double>(c.size));
}

Tensor truth_of(const Case& c, const Tensor& q, const Tensor& k) {
  const AttentionReferenceShape shape = {2, c.queries, c.keys, c.heads, c.groups, c.size, c.window, scale_of(c)};
  return tensor(reference_entropy(shape, values<double>(q.to(at::kDouble)), values<double>(k.to(at::kDouble))),
                {2, c.heads, c.queries});
}

/// What a sharp row may err beyond that: its scores are large, and a unit in their last place is no part of 1e-6 of a
/// small entropy.
double rounding_of_scores(const Case& c, at::ScalarType type) {
  constexpr double kDeviations = 4;  // of the greatest of some ten thousand normal numbers
  const double unit = type == at::kDouble ? 2.2e-16 : 1.2e-7;
  return c.spread == 1 ? 1e-15 : unit * kDeviations * c.spread;
}

using Function = Tensor(const Tensor&, const Tensor&, std::int64_t, double);
void expect_good(Function& function, const Case& c) {
  poison_new_tensors();
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const Tensors in = some_inputs(c);
    const Tensor q = in[0].to(type), k = in[1].to(type), truth = truth_of(c, q, k);
    for (const int bytes : kRegisterBytes) {
      const Registers registers(bytes);
      const Tensor error = (function(q, k, c.window, scale_of(c)).to(at::kDouble) - truth).abs();
      EXPECT_LE((error - truth * tolerance_for(type)).max().item<double>(), rounding_of_scores(c, type))
          << c10::toString(type) << ", " << bytes << " bytes";
    }
  }
}

class AttentionEntropy : public ::testing::TestWithParam<Case> {};

TEST_P(AttentionEntropy, AgreesWithTheReference) {
  expect_good(attention_entropy, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Cases, AttentionEntropy,
                         ::testing::Values(Case{1, 1, 1, 1, 8, 0}, Case{63, 63, 2, 1, 7, 0}, Case{64, 64, 4, 2, 16, 8},
                                           Case{65, 65, 2, 2, 20, 1}, Case{65, 65, 2, 2, 20, 64},
                                           Case{1000, 1000, 2, 1, 16, 300}, Case{5, 600, 4, 2, 16, 0},
                                           Case{100, 600, 2, 2, 16, 257}, Case{2048, 2048, 1, 1, 32, 0},
                                           Case{300, 300, 2, 1, 16, 0, 8}),
                         [](const auto& each) {
                           const Case& c = each.param;
                           return "queries" + std::to_string(c.queries) + "_keys" + std::to_string(c.keys) + "_heads" +
                                  std::to_string(c.heads) + "_groups" + std::to_string(c.groups) + "_size" +
                                  std::to_string(c.size) + "_window" + std::to_string(c.window) +
                                  (c.spread == 1 ? "" : "_sharp");
                         });

TEST(AttentionEntropyOp, AsACompositionAgreesWithTheReference) {
  expect_good(attention_entropy_composition, {300, 600, 4, 2, 16, 257});
  expect_good(attention_entropy_composition, {300, 300, 2, 2, 16, 0});
}

// Equal scores: the logarithm of how many keys are seen.
TEST(AttentionEntropyOp, OfEqualScoresIsTheLogarithmOfTheKeys) {
  const Tensor q = at::zeros({1, 1000, 1, 8}), k = at::randn({1, 1000, 1, 8});
  const Tensor seen = at::arange(1, 1001).clamp_max(100).to(at::kDouble);
  const Tensor entropy = attention_entropy(q, k, 100, 1).flatten().to(at::kDouble);
  EXPECT_TRUE(entropy.allclose(seen.log(), 1e-6, 0));
  EXPECT_EQ(entropy[0].item<double>(), 0);
}

TEST(AttentionEntropyOp, ReadsSlicesAsTheyLieAndDependsOnNoThread) {
  const Case c = {200, 200, 2, 2, 16, 50};
  const Tensors in = some_inputs(c);
  const Tensor packed = at::cat({in[0], in[1]}, 2).to(at::kFloat);
  const int before = at::get_num_threads();
  const auto entropy = [&](const Tensor& q, const Tensor& k, int threads) {
    at::set_num_threads(threads);
    return attention_entropy(q, k, c.window, scale_of(c));
  };
  const Tensor one = entropy(in[0].to(at::kFloat), in[1].to(at::kFloat), 1),
               two = entropy(packed.narrow(2, 0, 2), packed.narrow(2, 2, 2), 2);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, two));
}

TEST(AttentionEntropyOp, HasNoGradient) {
  const Tensor q = at::randn({1, 5, 1, 8}).requires_grad_(), k = at::randn({1, 5, 1, 8});
  const Tensor entropy = attention_entropy(q, k, 0, 1);
  EXPECT_THROW(entropy.sum().backward(), c10::Error);
}

TEST(AttentionEntropyOp, GivesShapesAndTypesOnMeta) {
  const at::TensorOptions options = at::TensorOptions(at::kMeta).dtype(at::kBFloat16);
  const Tensor entropy = attention_entropy(at::empty({2, 3, 4, 16}, options), at::empty({2, 9, 2, 16}, options), 5, 1);
  EXPECT_EQ(entropy.sizes(), (at::IntArrayRef{2, 4, 3}));
  EXPECT_EQ(entropy.scalar_type(), at::kFloat);
}

TEST(AttentionEntropyOp, SaysWhichArgumentIsWrongAndWhatWasExpected) {
  const Tensor q = at::zeros({2, 3, 4, 16});
  expect_error("attention_entropy: k: expected at least as many keys as queries, 3, got 2", [&] {
    attention_entropy(q, at::zeros({2, 2, 2, 16}), 0, 1);
  });
}

}  // namespace
}  // namespace mestre::kernels::testing
