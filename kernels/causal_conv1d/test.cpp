#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/causal_conv1d/reference.h"
#include "kernels/test_support.h"
#include "kernels/test_vectors.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

// Inputs are x, weight, bias, initial_state; the latter two may be undefined.
template <class Real>
Tensors reference_results(const Tensors& in, const Tensors& d, bool silu) {
  const std::int64_t batch = in[0].size(0), length = in[0].size(1), channels = in[0].size(2), taps = in[1].size(1);
  const std::vector<Real> no_bias(channels), no_state(batch * (taps - 1) * channels);
  const ConvolutionReference<Real> reference = {.batch = batch,
                                                .length = length,
                                                .channels = channels,
                                                .taps = taps,
                                                .silu = silu,
                                                .x = values<Real>(in[0]),
                                                .weight = values<Real>(in[1]),
                                                .bias = in[2].defined() ? values<Real>(in[2]) : no_bias,
                                                .initial_state = in[3].defined() ? values<Real>(in[3]) : no_state};
  const auto out = reference_forward(reference);
  const auto gradient = reference_backward(reference, {.y = values<Real>(d[0]), .final_state = values<Real>(d[1])});
  Tensors results = {tensor(out.y, in[0].sizes()), tensor(out.final_state, {batch, taps - 1, channels}),
                     tensor(gradient.x, in[0].sizes()), tensor(gradient.weight, in[1].sizes())};
  if (in[2].defined()) results.push_back(tensor(gradient.bias, in[2].sizes()));
  if (in[3].defined()) results.push_back(tensor(gradient.initial_state, in[3].sizes()));
  return results;
}

Equation equation(bool silu) {
  return [silu](const Tensors& in, const Tensors& d) {
    return in[0].scalar_type() == at::kDouble ? reference_results<double>(in, d, silu)
                                              : reference_results<float>(in, d, silu);
  };
}

std::optional<Tensor> given(const Tensor& tensor) {
  return tensor.defined() ? std::optional<Tensor>(tensor) : std::nullopt;
}

using Function = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const std::optional<Tensor>&, bool,
                                            const std::optional<Tensor>&);
Operation operation(Function& function, bool silu) {
  return [&function, silu](const Tensors& in) -> Tensors {
    const auto [y, final_state] = function(in[0], in[1], given(in[2]), silu, given(in[3]));
    return {y, final_state};
  };
}

Tensors some_inputs(std::int64_t length, std::int64_t channels, std::int64_t taps, bool bias, bool state) {
  at::manual_seed(length * 31 + channels);
  const auto draw = [](at::IntArrayRef shape) { return at::randn(shape, at::kDouble); };
  return {draw({2, length, channels}), draw({channels, taps}), bias ? draw({channels}) : Tensor(),
          state ? draw({2, taps - 1, channels}) : Tensor()};
}

struct Case {
  std::int64_t length, channels, taps;
  bool bias, silu, state;
};

class CausalConv1d : public ::testing::TestWithParam<Case> {
 protected:
  void expect_good(Function& function) const {
    const Case& c = GetParam();
    expect_as_good_as_plain(operation(function, c.silu), equation(c.silu),
                            some_inputs(c.length, c.channels, c.taps, c.bias, c.state));
  }
};

TEST_P(CausalConv1d, AgreesWithTheReference) {
  expect_good(causal_conv1d);
}
TEST_P(CausalConv1d, AsACompositionAgreesWithTheReference) {
  expect_good(causal_conv1d_composition);
}

INSTANTIATE_TEST_SUITE_P(Cases, CausalConv1d,
                         ::testing::Values(Case{1, 1, 1, true, true, false}, Case{1, 21, 4, true, true, true},
                                           Case{2, 7, 4, false, false, true}, Case{3, 16, 5, true, true, false},
                                           Case{63, 33, 4, true, true, true}, Case{64, 21, 2, false, true, false},
                                           Case{65, 48, 4, true, false, true}, Case{1000, 37, 4, true, true, true},
                                           Case{5, 3, 64, true, true, true}),
                         [](const auto& each) {
                           const Case& c = each.param;
                           return "length" + std::to_string(c.length) + "_channels" + std::to_string(c.channels) +
                                  "_taps" + std::to_string(c.taps) + (c.bias ? "_bias" : "") + (c.silu ? "_silu" : "") +
                                  (c.state ? "_state" : "");
                         });

TEST(CausalConv1dOp, TakesFp32WeightsWithBf16Rows) {
  expect_as_good_as_plain(operation(causal_conv1d, true), equation(true), some_inputs(65, 40, 4, true, true),
                          {at::kBFloat16, at::kFloat, at::kFloat, at::kBFloat16});
}

TEST(CausalConv1dOp, ReadsSlicesAndTransposesAsTheyLie) {
  const Tensors in = some_inputs(20, 21, 4, true, true);
  const Tensor wide = at::full({2, 20, 60}, NAN, at::kDouble);
  wide.narrow(2, 30, 21).copy_(in[0]);
  const Tensor turned = in[0].transpose(1, 2).contiguous().transpose(1, 2);
  const auto [y, state] = causal_conv1d(in[0], in[1], in[2], true, in[3]);
  for (const Tensor& x : {wide.narrow(2, 30, 21), turned}) {
    const auto [same_y, same_state] = causal_conv1d(x, in[1], in[2], true, in[3]);
    EXPECT_TRUE(at::equal(y, same_y));
    EXPECT_TRUE(at::equal(state, same_state));
  }
}

// One token at a time too, which is how text is generated.
TEST(CausalConv1dOp, ContinuesFromItsOwnFinalState) {
  const Tensors in = some_inputs(20, 21, 4, true, true);
  const Tensor x = in[0].to(at::kFloat), weight = in[1].to(at::kFloat), bias = in[2].to(at::kFloat);
  const auto [y, final_state] = causal_conv1d(x, weight, bias, true, in[3].to(at::kFloat));
  for (const std::int64_t step : {1, 2, 7}) {
    Tensor state = in[3].to(at::kFloat);
    Tensors parts;
    for (std::int64_t t = 0; t < 20; t += step) {
      const auto [part, next] =
          causal_conv1d(x.narrow(1, t, std::min<std::int64_t>(step, 20 - t)), weight, bias, true, state);
      parts.push_back(part);
      state = next;
    }
    EXPECT_TRUE(at::equal(at::cat(parts, 1), y)) << step;
    EXPECT_TRUE(at::equal(state, final_state)) << step;
  }
}

TEST(CausalConv1dOp, GivesTheGradientOfEitherResultAlone) {
  for (const std::size_t alone : {0, 1}) {
    const Operation one = [&](const Tensors& in) -> Tensors { return {operation(causal_conv1d, true)(in)[alone]}; };
    const Equation reference = [&](const Tensors& in, const Tensors& d) {
      Tensors both(2);
      both[alone] = d[0];
      both[1 - alone] = alone == 0 ? at::zeros({2, 3, 5}, in[0].options()) : at::zeros({2, 9, 5}, in[0].options());
      Tensors results = equation(true)(in, both);
      results.erase(results.begin() + static_cast<std::ptrdiff_t>(1 - alone));
      return results;
    };
    expect_as_good_as_plain(one, reference, some_inputs(9, 5, 4, true, true));
  }
}

TEST(CausalConv1dOp, GivesShapesAndTypesOnMeta) {
  const Tensor x = at::empty({2, 9, 5}, at::TensorOptions(at::kMeta).dtype(at::kBFloat16));
  const auto [y, state] = causal_conv1d(x, at::empty({5, 4}, at::TensorOptions(at::kMeta)));
  EXPECT_EQ(y.sizes(), x.sizes());
  EXPECT_EQ(state.sizes(), (at::IntArrayRef{2, 3, 5}));
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_EQ(state.scalar_type(), at::kBFloat16);
}

TEST(CausalConv1dOp, SaysWhichArgumentIsWrongAndWhatWasExpected) {
  const Tensor x = at::zeros({2, 9, 5}), weight = at::zeros({5, 4});
  expect_error("causal_conv1d: x: expected 3 dimensions [B, L, E], got [9, 5]", [&] { causal_conv1d(x[0], weight); });
  expect_error("causal_conv1d: weight: expected shape [5, 4] ([E, W], E from x), got [4, 4]",
               [&] { causal_conv1d(x, weight.narrow(0, 0, 4)); });
  expect_error("causal_conv1d: weight: expected at most 64 taps, got 65", [&] {
    causal_conv1d(x, at::zeros({5, 65}));
  });
  expect_error("causal_conv1d: bias: expected float32 or bfloat16 (to go with x), got Double",
               [&] { causal_conv1d(x, weight, at::zeros({5}, at::kDouble)); });
  expect_error("causal_conv1d: initial_state: expected shape [2, 3, 5] ([B, W - 1, E]), got [2, 4, 5]", [&] {
    causal_conv1d(x, weight, {}, true, at::zeros({2, 4, 5}));
  });
}

}  // namespace
}  // namespace mestre::kernels::testing
