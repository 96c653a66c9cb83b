// The estimates against the definitions, written with whole matrices; all in fp64. The entropy of a row has its tests
// in kernels/attention_entropy.

#include "core/tasks/entropy/run_estimator.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/tolerances.h"

namespace mestre {
namespace {

/// A = softmax over the visible keys; -sum_k A log A with 0 log 0 = 0, [B, h, L].
at::Tensor by_definition(const at::Tensor& queries, const at::Tensor& keys, std::int64_t window, double scale) {
  const std::int64_t length = queries.size(1), shared = queries.size(2) / keys.size(2);
  const at::Tensor k = keys.to(at::kDouble).repeat_interleave(shared, 2);
  const at::Tensor scores = at::einsum("blhp,bshp->bhls", {queries.to(at::kDouble), k}) * scale;
  const at::Tensor t = at::arange(length).unsqueeze(1) + (keys.size(1) - length), s = at::arange(keys.size(1));
  at::Tensor hidden = s > t;
  if (window > 0) hidden = hidden | (s <= t - window);
  const at::Tensor a = at::softmax(scores.masked_fill(hidden, -INFINITY), -1);
  return -at::xlogy(a, a).sum(-1);
}

at::Tensor random(at::IntArrayRef sizes, double deviation = 1) {
  return at::randn(sizes, at::kDouble) * deviation;
}

double relative(const at::Tensor& ours, const at::Tensor& expected) {
  return (ours - expected).abs().max().item<double>() / expected.abs().max().item<double>();
}

// A whole text, and the same in pieces of which each brings only the keys that it needs.
TEST(EntropyEstimator, TakesAttentionInPieces) {
  at::manual_seed(2);
  constexpr std::int64_t kLength = 50, kPrompt = 11, kWindow = 6;
  const at::Tensor q = random({2, kLength, 4, 8}), k = random({2, kLength, 2, 8});
  const at::Tensor expected = by_definition(q, k, kWindow, 0.5).narrow(2, kPrompt, kLength - kPrompt).mean(-1);
  EntropyEstimator whole(kPrompt), pieces(kPrompt);
  whole.saw_attention(q, k, kWindow, 0.5);
  for (std::int64_t first = 0; first < kLength; first += 7) {
    const std::int64_t rows = std::min<std::int64_t>(7, kLength - first),
                       first_key = std::max<std::int64_t>(0, first - kWindow + 1);
    pieces.saw_attention(q.narrow(1, first, rows), k.narrow(1, first_key, first + rows - first_key), kWindow, 0.5);
    EXPECT_EQ(pieces.has_attention(), first + rows > kPrompt);
  }
  EXPECT_LE(relative(whole.attention_per_head(), expected), tolerance::kEntropy);
  EXPECT_LE(relative(pieces.attention_per_head(), expected), tolerance::kEntropy);
}

TEST(EntropyEstimator, TakesSelectionInPieces) {
  at::manual_seed(3);
  const at::Tensor delta = at::softplus(random({2, 300, 5}, 4));
  delta[0][17].zero_();
  const at::Tensor share = delta.to(at::kDouble) / delta.to(at::kDouble).sum(1, true);
  const at::Tensor expected = -at::xlogy(share, share).sum(1).mean(-1);
  EntropyEstimator estimator(8);
  EXPECT_FALSE(estimator.has_selection());
  for (const at::Tensor& piece : delta.split(37, 1)) estimator.saw_delta(piece);
  EXPECT_LE(relative(estimator.selection(), expected), tolerance::kEntropy);
  EXPECT_LE(relative(estimator.delta_mean(), delta.to(at::kDouble).mean({1, 2})), tolerance::kEntropy);
  EXPECT_FALSE(estimator.has_attention());
}

}  // namespace
}  // namespace mestre
