// The composition of Torch's operations: in fp64, which it serves on the CPU, and called directly in the types that it
// serves on other devices.
#include <string>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>

#include "kernels/selective_scan/composition.h"
#include "kernels/selective_scan/test_call.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

std::vector<ScanCase> composition_cases() {
  using C = ScanCase;
  return {C{.name = "composed_1", .length = 1},
          C{.name = "composed_31", .length = 31},
          C{.name = "composed_32", .length = 32},
          C{.name = "composed_33", .length = 33},
          C{.name = "composed_63", .length = 63},
          C{.name = "composed_64", .length = 64},
          C{.name = "composed_65", .length = 65},
          C{.name = "composed_200", .length = 200, .reset = false},
          C{.name = "composed_200_delta_up_to_20",
            .length = 200,
            .delta_softplus = false,
            .delta_low = 0.01,
            .delta_high = 20},
          C{.name = "composed_bare",
            .D = false,
            .z = false,
            .delta_bias = false,
            .delta_softplus = false,
            .initial_state = false,
            .reset = false,
            .final_gradient = false,
            .delta_low = 1e-3,
            .delta_high = 0.5}};
}

TEST(SelectiveScanComposition, IsExactInDoublePrecision) {
  for (const ScanCase& c : composition_cases()) {
    SCOPED_TRACE(c.name);
    const ScanProblem problem = make_problem(c);
    const auto truth = reference_results<double>(problem, c.element), results = run(in_double(make_call(c, problem)));
    ASSERT_EQ(results.size(), truth.size());
    for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(judge_double(results[i], truth[i]), "");
  }
}

TEST(SelectiveScanComposition, AgreesWithTheFusedKernel) {
  const ScanCase c = {.name = "composed_fused", .length = 100};
  const ScanProblem problem = make_problem(c);
  const ScanCall call = make_call(c, problem);
  const auto fused = run(call), in_fp64 = run(in_double(call)), plain = reference_results<float>(problem, c.element);
  for (std::size_t i = 0; i < fused.size(); ++i) EXPECT_EQ(judge(fused[i], plain[i], in_fp64[i]), "");
}

/// What the operation returns where the composition serves these types.
std::vector<NamedValues> run_composition(const ScanCall& c) {
  const at::NoGradGuard no_gradient;
  const ScanArguments arguments = {
      c.u, c.delta, c.A, c.B, c.C, c.D, c.z, c.delta_bias, c.delta_softplus, c.initial_state, c.reset};
  const Tensor checkpoints = empty_checkpoints(arguments).fill_(NAN);
  const auto [y, final_state] = compose_scan(arguments, checkpoints);
  const auto [d_u, d_delta, d_A, d_B, d_C, d_D, d_z, d_bias, d_initial] =
      compose_scan_backward(arguments, c.d_y, c.d_final_state, checkpoints);
  std::vector<NamedValues> results = {named("y", y),     named("final_state", final_state),
                                      named("d_u", d_u), named("d_delta", d_delta),
                                      named("d_A", d_A), named("d_B", d_B),
                                      named("d_C", d_C)};
  if (c.D) results.push_back(named("d_D", d_D));
  if (c.z) results.push_back(named("d_z", d_z));
  if (c.delta_bias) results.push_back(named("d_delta_bias", d_bias));
  if (c.initial_state) results.push_back(named("d_initial_state", d_initial));
  return results;
}

TEST(SelectiveScanComposition, ErrsAtMostTwiceAsMuchAsThePlainOne) {
  for (ScanCase c : composition_cases()) {
    for (const Element element : {Element::kFloat32, Element::kBFloat16}) {
      SCOPED_TRACE(c.name + (element == Element::kFloat32 ? "" : ", bf16"));
      c.element = element;
      const ScanProblem problem = make_problem(c);
      const auto truth = reference_results<double>(problem, element),
                 plain = reference_results<float>(problem, element);
      const auto results = run_composition(make_call(c, problem));
      ASSERT_EQ(results.size(), truth.size());
      for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(judge(results[i], plain[i], truth[i]), "");
    }
  }
}

TEST(SelectiveScanComposition, ComputesTheSameUnderAutocast) {
  const ScanCall call = make_call({.name = "composed_autocast"});
  const auto expected = run_composition(call);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const auto results = run_composition(call);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_TRUE(results[i].values == expected[i].values) << results[i].name;
  }
}

TEST(SelectiveScanComposition, TakesAnyStrides) {
  const ScanCall call = in_double(make_call({.name = "composed_strides"}));
  ScanCall turned = call;
  for (auto& [name, input] : turned.differentiable()) *input = input->transpose(0, -1).contiguous().transpose(0, -1);
  turned.reset = call.reset->t().contiguous().t();
  ASSERT_FALSE(turned.u.is_contiguous() || turned.A.is_contiguous());
  const auto expected = run(call), results = run(turned);
  for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(judge_double(results[i], expected[i]), "");
}

TEST(SelectiveScanComposition, ReturnsDoublesForDoubles) {
  const ScanCall call = in_double(make_call({.name = "composed_types"}));
  const auto [y, state] = call();
  EXPECT_EQ(y.scalar_type(), at::kDouble);
  EXPECT_EQ(state.scalar_type(), at::kDouble);
  ScanCall meta = call;
  for (auto& [name, input] : meta.differentiable()) *input = input->to(at::kMeta);
  meta.reset = call.reset->to(at::kMeta);
  const auto [meta_y, meta_state] = meta();
  EXPECT_EQ(meta_y.scalar_type(), at::kDouble);
  EXPECT_EQ(meta_state.scalar_type(), at::kDouble);
}

double loss(const ScanCall& call) {
  const auto [y, final_state] = call();
  return ((y * call.d_y).sum() + (final_state * *call.d_final_state).sum()).item<double>();
}

TEST(SelectiveScanComposition, BackwardIsTheDerivativeOfForward) {
  constexpr double kStep = 1e-5, kAllowed = 1e-8;  // error of the method: step squared, and 1e-16 / step
  ScanCall call = in_double(
      make_call({.name = "composed_finite", .batch = 1, .length = 35, .channels = 2, .state = 2, .delta_low = 0.1}));
  const auto results = run(call);
  std::size_t next = 2;
  for (auto& [name, input] : call.differentiable()) {
    const NamedValues& gradient = results.at(next++);
    ASSERT_EQ(gradient.name, name);
    double* values = input->mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < input->numel(); ++i) {
      const double kept = values[i];
      values[i] = kept + kStep;
      const double above = loss(call);
      values[i] = kept - kStep;
      const double below = loss(call);
      values[i] = kept;
      EXPECT_NEAR((above - below) / (2 * kStep), gradient.values[i], kAllowed) << name << "[" << i << "]";
    }
  }
}

}  // namespace
}  // namespace mestre::kernels::testing
