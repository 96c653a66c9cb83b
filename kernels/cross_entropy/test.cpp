// Cross entropy against Torch's own in fp64.
#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "kernels/cross_entropy/cross_entropy.h"

namespace mestre::kernels {
namespace {

struct Judged {
  double loss, gradient;  // largest errors, in units of the largest value
};

// Against the definition in fp64 on the same rounded logits; `plain` takes Torch's operation in the logits' own type.
Judged judge(const at::Tensor& logits, const at::Tensor& targets, bool plain) {
  const at::Tensor weight = at::randn({logits.size(0)}, at::kDouble);
  const auto run = [&](const at::Tensor& x, const auto& loss_of) {
    at::Tensor input = x.detach().clone().requires_grad_();
    const at::Tensor loss = loss_of(input);
    const at::Tensor gradient = torch::autograd::grad({(loss.to(at::kDouble) * weight).sum()}, {input})[0];
    return std::pair(loss.detach().to(at::kDouble), gradient.to(at::kDouble));
  };
  const auto library = [&](const at::Tensor& x) { return at::cross_entropy_loss(x, targets, {}, at::Reduction::None); };
  const auto ours = [&](const at::Tensor& x) { return cross_entropy(x, targets); };
  const auto [loss, gradient] = run(logits.to(at::kDouble), library);
  const auto [got, got_gradient] = plain ? run(logits, library) : run(logits, ours);
  const auto off = [](const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).abs().max() / b.abs().max()).item<double>();
  };
  return {off(got, loss), off(got_gradient, gradient)};
}

TEST(CrossEntropy, IsItsDefinition) {
  at::manual_seed(10);
  for (const std::int64_t rows : {1, 63, 2047, 2048, 2049, 4100}) {
    for (const std::int64_t classes : {1, 2, 257}) {
      const at::Tensor targets = at::randint(classes, {rows}, at::kLong);
      for (const double spread : {1.0, 30.0}) {
        const at::Tensor logits = at::randn({rows, classes}, at::kDouble) * spread;
        if (classes == 1) {
          EXPECT_EQ(cross_entropy(logits, targets).abs().max().item<double>(), 0);
          continue;
        }
        const Judged exact = judge(logits, targets, false), single = judge(logits.to(at::kFloat), targets, false),
                     library = judge(logits.to(at::kFloat), targets, true),
                     rounded = judge(logits.to(at::kBFloat16), targets, false);
        EXPECT_LE(exact.loss, 1e-14);
        EXPECT_LE(exact.gradient, 1e-14);
        EXPECT_LE(single.loss, 2 * library.loss + 1e-7) << rows << " x " << classes;
        EXPECT_LE(single.gradient, 2 * library.gradient + 1e-7) << rows << " x " << classes;
        EXPECT_LE(rounded.loss, 4e-7) << "the loss is fp32 whatever the logits are";
        EXPECT_LE(rounded.gradient, 1.0 / 256) << "the gradient is rounded to bf16";
      }
    }
  }
}

TEST(CrossEntropy, TakesRowsThatLieApartAndExtremeLogits) {
  at::manual_seed(10);
  const at::Tensor wide = at::randn({5, 40}, at::kDouble), targets = at::tensor({0, 3, 9, 1, 2}, at::kLong);
  EXPECT_LE(judge(wide.narrow(1, 7, 10), targets, false).gradient, 1e-14);
  const at::Tensor extreme = at::tensor({1e4F, -1e4F, 0.0F, 0.0F}).view({2, 2});
  const at::Tensor loss = cross_entropy(extreme, at::tensor({1, 0}, at::kLong));
  EXPECT_EQ(loss[0].item<float>(), 2e4F);
  EXPECT_FLOAT_EQ(loss[1].item<float>(), std::log(2.0F));
}

TEST(CrossEntropy, KnowsShapesOnMetaAndSaysWhatIsWrong) {
  const auto meta = at::TensorOptions(at::kMeta);
  const at::Tensor loss =
      cross_entropy(at::empty({3000, 9}, meta.dtype(at::kBFloat16)), at::empty({3000}, meta.dtype(at::kLong)));
  EXPECT_EQ(loss.sizes(), (std::vector<std::int64_t>{3000}));
  EXPECT_EQ(loss.scalar_type(), at::kFloat);
  try {
    (void)cross_entropy(at::zeros({4, 9}), at::zeros({5}, at::kLong));
    FAIL();
  } catch (const c10::Error& error) {
    EXPECT_NE(std::string(error.what_without_backtrace()).find("cross_entropy: targets: expected shape [4]"),
              std::string::npos)
        << error.what_without_backtrace();
  }
}

}  // namespace
}  // namespace mestre::kernels
