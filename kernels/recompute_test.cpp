#include "kernels/recompute.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace mestre::kernels {
namespace {

using torch::autograd::variable_list;

at::Tensor variable(at::IntArrayRef shape) {
  return at::randn(shape, at::kDouble).requires_grad_();
}

TEST(Recomputed, GivesTheGradientsOfTheComposition) {
  const at::Tensor a = variable({3, 4}), b = variable({4, 2}), rows = at::tensor({2, 0}, at::kLong);
  const Composition product = [](const variable_list& in) -> variable_list {
    const at::Tensor c = at::matmul(in[0], in[1]).tanh();
    return {c.index_select(0, in[2]), c.sum(0)};
  };
  const variable_list ours = recomputed(product, {a, b, rows}), plain = product({a, b, rows});
  const variable_list weights = {at::randn({2, 2}, at::kDouble), at::randn({2}, at::kDouble)};
  const variable_list got = torch::autograd::grad(ours, {a, b}, weights),
                      want = torch::autograd::grad(plain, {a, b}, weights);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(at::equal(ours[i], plain[i]));
    EXPECT_TRUE(at::equal(got[i], want[i]));
  }
}

TEST(Recomputed, TakesInputsAndOutputsThatAreLeftOut) {
  const at::Tensor a = variable({5}), fixed = at::randn({5}, at::kDouble);
  const Composition sums = [](const variable_list& in) -> variable_list {
    EXPECT_FALSE(in[1].defined());
    return {in[0] * in[2], in[0].square()};
  };
  const variable_list out = recomputed(sums, {a, at::Tensor(), fixed});
  const variable_list got = torch::autograd::grad({out[1].sum()}, {a});
  EXPECT_TRUE(at::equal(got[0], 2 * a.detach()));
}

TEST(Recomputed, KeepsOnlyItsInputs) {
  const at::Tensor a = variable({7});
  int runs = 0;
  const auto counted = [&runs](const variable_list& in) -> variable_list {
    ++runs;
    return {in[0].exp().sum()};
  };
  const at::Tensor out = recomputed(counted, {a})[0];
  EXPECT_EQ(runs, 1);
  out.backward();
  EXPECT_EQ(runs, 2);
  EXPECT_TRUE(at::equal(a.grad(), a.detach().exp()));
  const at::NoGradGuard no_gradient;
  EXPECT_FALSE(recomputed(counted, {a})[0].requires_grad());
}

TEST(Recomputed, RefusesToBeDifferentiatedTwice) {
  const at::Tensor a = variable({3});
  const auto cube = [](const variable_list& in) -> variable_list { return {in[0].pow(3).sum()}; };
  const variable_list out = recomputed(cube, {a});
  EXPECT_THROW(torch::autograd::grad(out, {a}, {}, std::nullopt, true), c10::Error);
}

}  // namespace
}  // namespace mestre::kernels
