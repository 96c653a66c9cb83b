// What only gated linear attention has: a gate for every token and channel, of any strength. The rest is in
// kernels/linear_attention/test.cpp.
#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "kernels/linear_attention/test_support.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

/// Gates that are open, weak, strong, and as strong as `strongest`, a quarter each, next to one another.
AttentionCall with_extreme_gates(double strongest, at::ScalarType type) {
  AttentionCall c = make_call(kGatedLinearAttention, {.name = "extreme", .length = 130, .reset = false, .type = type});
  const Tensor kind = at::randint(4, c.decay.sizes());
  c.decay.masked_fill_(kind == 0, 0).masked_fill_(kind == 1, -1e-4).masked_fill_(kind == 2, strongest);
  return c;
}

TEST(GatedLinearAttention, TakesGatesOfAnyStrength) {
  for (const double strongest : {-50.0, -90.0, -1e4, -HUGE_VAL}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
      SCOPED_TRACE(std::to_string(strongest) + " " + c10::toString(type));
      const AttentionCall c = with_extreme_gates(strongest, type);
      EXPECT_EQ(judge_results(kGatedLinearAttention, c, results_of(kGatedLinearAttention, c)), "");
    }
  }
}

TEST(GatedLinearAttention, ForgetsThroughAClosedGateAsThroughAReset) {
  AttentionCall closed = make_call(kGatedLinearAttention, {.name = "closed", .reset = false}), reset = closed;
  closed.decay.select(1, 20).fill_(-HUGE_VAL);
  reset.reset = at::zeros({2, 65}, at::kBool);
  reset.reset->select(1, 20).fill_(true);
  const auto by_gate = results_of(kGatedLinearAttention, closed), by_reset = results_of(kGatedLinearAttention, reset);
  for (std::size_t i = 0; i < by_gate.size(); ++i)
    EXPECT_TRUE(by_gate[i].values == by_reset[i].values) << by_gate[i].name;
}

TEST(GatedLinearAttention, SaysWhatIsWrongWithTheGate) {
  AttentionCall c = make_call(kGatedLinearAttention, {.name = "mistake", .length = 5});
  const auto message = [&] {
    try {
      kGatedLinearAttention.run(c);
    } catch (const c10::Error& error) {
      return std::string(error.what_without_backtrace());
    }
    return std::string("accepted");
  };
  c.decay = c.decay.to(at::kBFloat16);
  EXPECT_EQ(message(), "gated_linear_attention: log_gate: expected float32, got BFloat16");
  c.decay = at::zeros({2, 5, 8});
  EXPECT_EQ(message(),
            "gated_linear_attention: log_gate: expected shape [2, 5, 8, 5] ([B, L, H, K], as q), got [2, 5, 8]");
}

}  // namespace
}  // namespace mestre::kernels::testing
