// What only retention has: a decay for each head. The rest is in kernels/linear_attention/test.cpp.
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "kernels/linear_attention/test_support.h"

namespace mestre::kernels::testing {
namespace {

TEST(Retention, TakesTheDecaysOfRetNetOverALongSequence) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    SCOPED_TRACE(c10::toString(type));
    AttentionCall c = make_call(kRetention, {.name = "retnet", .length = 1000, .reset = false, .type = type});
    c.decay = at::log1p(-at::exp2(-5 - at::arange(8, c.decay.options())));  // 1 - 2^(-5-h)
    EXPECT_EQ(judge_results(kRetention, c, results_of(kRetention, c)), "");
  }
}

TEST(Retention, IsGatedLinearAttentionWithAGatePerHead) {
  const AttentionCall c = make_call(kRetention, {.name = "as_gates", .length = 100, .type = at::kDouble});
  AttentionCall gated = c;
  gated.decay = c.decay.view({1, 1, -1, 1}).expand_as(c.q);
  const auto ours = results_of(kRetention, c), theirs = results_of(kGatedLinearAttention, gated);
  for (const std::size_t i : {0, 1, 2, 3, 4, 6}) EXPECT_EQ(judge_double(ours[i], theirs[i]), "");
}

TEST(Retention, SaysWhatIsWrongWithTheDecay) {
  AttentionCall c = make_call(kRetention, {.name = "mistake", .length = 5});
  const auto message = [&] {
    try {
      kRetention.run(c);
    } catch (const c10::Error& error) {
      return std::string(error.what_without_backtrace());
    }
    return std::string("accepted");
  };
  c.decay = c.decay.to(at::kDouble);
  EXPECT_EQ(message(), "retention: log_decay: expected float32, got Double");
  c.decay = at::zeros({8, 1});
  EXPECT_EQ(message(), "retention: log_decay: expected shape [8] ([H], H from q), got [8, 1]");
}

}  // namespace
}  // namespace mestre::kernels::testing
