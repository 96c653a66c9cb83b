// The operation as Torch sees it: types, strides, autograd, threads, Meta, and what it says when it is called wrongly.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include "kernels/selective_scan/test_call.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

void expect_as_good_as_plain(const ScanCase& c, const std::vector<NamedValues>& results, const ScanProblem& problem) {
  const auto truth = reference_results<double>(problem, c.element);
  const auto plain = reference_results<float>(problem, c.element);
  ASSERT_EQ(results.size(), truth.size());
  for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(judge(results[i], plain[i], truth[i]), "");
}

TEST(SelectiveScanOp, AgreesWithTheReferenceThroughAutograd) {
  const ScanCase with_all = {.name = "op"};
  const ScanCase bare = {.name = "op_bare",
                         .D = false,
                         .z = false,
                         .delta_bias = false,
                         .initial_state = false,
                         .reset = false,
                         .final_gradient = false};
  for (ScanCase c : {with_all, bare}) {
    for (const Element element : {Element::kFloat32, Element::kBFloat16}) {
      c.element = element;
      const ScanProblem problem = make_problem(c);
      expect_as_good_as_plain(c, run(make_call(c, problem)), problem);
    }
  }
}

TEST(SelectiveScanOp, TakesAnyStrides) {
  const ScanCase c = {.name = "op_strides"};
  const ScanProblem problem = make_problem(c);
  ScanCall call = make_call(c, problem);
  const auto sliced = [](const Tensor& t) {  // last dimension contiguous: as a slice of a wider projection
    return at::cat({at::full_like(t, NAN), t, at::full_like(t, NAN)}, 2).narrow(2, t.size(2), t.size(2));
  };
  const auto turned = [](const Tensor& t) { return t.transpose(0, -1).contiguous().transpose(0, -1); };
  call.u = sliced(call.u);
  call.B = sliced(call.B);
  call.z = turned(*call.z);
  call.C = turned(call.C);
  call.delta = call.delta.transpose(0, 1).contiguous().transpose(0, 1);
  call.A = turned(call.A);
  call.initial_state = turned(*call.initial_state);
  call.reset = turned(*call.reset);
  ASSERT_FALSE(call.u.is_contiguous() || call.z->is_contiguous() || call.A.is_contiguous());
  expect_as_good_as_plain(c, run(call), problem);
}

TEST(SelectiveScanOp, TakesEachTypeOnItsOwn) {
  const ScanCase c = {.name = "op_mixed", .element = Element::kBFloat16};
  ScanCall narrow = make_call(c), mixed = narrow;
  mixed.delta = mixed.delta.to(at::kFloat);
  mixed.C = mixed.C.to(at::kFloat);
  const auto [y, state] = narrow();
  const auto [mixed_y, mixed_state] = mixed();
  EXPECT_EQ(mixed_y.scalar_type(), at::kBFloat16);
  EXPECT_EQ(mixed_state.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(y, mixed_y));  // the numbers are the same, only their type is not
  EXPECT_TRUE(at::equal(state, mixed_state));
  mixed.delta.requires_grad_();
  std::get<0>(mixed()).sum().backward();  // an expanded gradient, too
  EXPECT_EQ(mixed.delta.grad().scalar_type(), at::kFloat);
}

TEST(SelectiveScanOp, DiffersNotByABitBetweenOneThreadAndTwo) {
  const ScanCase c = {.name = "op_threads", .batch = 2, .length = 200, .channels = 300, .state = 16};
  const ScanCall call = make_call(c);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = run(call), again = run(call);
  at::set_num_threads(2);
  const auto two = run(call);
  at::set_num_threads(before);
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_TRUE(one[i].values == again[i].values) << one[i].name;
    EXPECT_TRUE(one[i].values == two[i].values) << one[i].name;
  }
}

TEST(SelectiveScanOp, ContinuesFromItsOwnFinalState) {
  const ScanCall call = make_call({.name = "op_continue", .length = 100, .reset = false, .final_gradient = false});
  ScanCall first = call, second = call;
  for (Tensor ScanCall::*rows : {&ScanCall::u, &ScanCall::delta, &ScanCall::B, &ScanCall::C}) {
    first.*rows = (call.*rows).narrow(1, 0, 37);
    second.*rows = (call.*rows).narrow(1, 37, 63);
  }
  first.z = call.z->narrow(1, 0, 37);
  second.z = call.z->narrow(1, 37, 63);
  const auto [y, state] = call();
  const auto [first_y, first_state] = first();
  second.initial_state = first_state;
  const auto [second_y, second_state] = second();
  EXPECT_TRUE(at::equal(at::cat({first_y, second_y}, 1), y));
  EXPECT_TRUE(at::equal(second_state, state));
}

TEST(SelectiveScanOp, GivesNoGradientWhereNoneIsWanted) {
  ScanCall call = make_call({.name = "op_no_gradient"});
  EXPECT_FALSE(std::get<0>(call()).requires_grad());
  call.u.requires_grad_();
  EXPECT_TRUE(std::get<0>(call()).requires_grad());
  const at::NoGradGuard no_gradient;
  EXPECT_FALSE(std::get<0>(call()).requires_grad());
}

TEST(SelectiveScanOp, BackwardFromTheFinalStateAlone) {
  const ScanCase c = {.name = "op_final_only"};
  ScanProblem problem = make_problem(c);
  problem.d_y.assign(problem.d_y.size(), 0);
  ScanCall call = make_call(c, problem);
  call.u.requires_grad_();
  (std::get<1>(call()) * *call.d_final_state).sum().backward();
  const auto truth = reference_results<double>(problem, c.element),
             plain = reference_results<float>(problem, c.element);
  ASSERT_EQ(truth[2].name, "d_u");
  EXPECT_EQ(judge(named("d_u", call.u.grad()), plain[2], truth[2]), "");
}

TEST(SelectiveScanOp, MetaGivesShapesAndTypesOnly) {
  ScanCall call = make_call({.name = "op_meta", .element = Element::kBFloat16});
  const auto [y, state] = call();
  for (auto& [name, input] : call.differentiable()) *input = input->to(at::kMeta);
  call.reset = call.reset->to(at::kMeta);
  const auto [meta_y, meta_state] = call();
  EXPECT_TRUE(meta_y.is_meta() && meta_state.is_meta());
  EXPECT_EQ(meta_y.sizes(), y.sizes());
  EXPECT_EQ(meta_y.scalar_type(), y.scalar_type());
  EXPECT_EQ(meta_state.sizes(), state.sizes());
  EXPECT_EQ(meta_state.scalar_type(), state.scalar_type());
}

struct Mistake {
  const char* message;
  std::function<void(ScanCall&)> make;
};

TEST(SelectiveScanOp, SaysWhichArgumentIsWrongAndWhatWasExpected) {
  const Mistake mistakes[] = {
      {"selective_scan: u: expected 3 dimensions [B, L, E], got [2, 5]",
       [](ScanCall& c) {
         c.u = at::zeros({2, 5});
       }},
      {"selective_scan: u: expected positive sizes, got [2, 0, 3]",
       [](ScanCall& c) {
         c.u = at::zeros({2, 0, 3});
       }},
      {"selective_scan: u: expected float32, bfloat16 or float64, got Int",
       [](ScanCall& c) { c.u = c.u.to(at::kInt); }},
      {"selective_scan: delta: expected float64, as u is, got Float", [](ScanCall& c) { c.u = c.u.to(at::kDouble); }},
      {"selective_scan: B: expected float32 or bfloat16, got Double", [](ScanCall& c) { c.B = c.B.to(at::kDouble); }},
      {"selective_scan: delta: expected shape [2, 5, 3] ([B, L, E], as u), got [2, 4, 3]",
       [](ScanCall& c) {
         c.delta = at::zeros({2, 4, 3});
       }},
      {"selective_scan: A: expected 1 to 64 states in the last dimension, got 65",
       [](ScanCall& c) {
         c.A = at::zeros({3, 65});
       }},
      {"selective_scan: A: expected float32, got BFloat16", [](ScanCall& c) { c.A = c.A.to(at::kBFloat16); }},
      {"selective_scan: A: expected shape [3, 4] ([E, N], E from u), got [7, 4]",
       [](ScanCall& c) {
         c.A = at::zeros({7, 4});
       }},
      {"selective_scan: B: expected shape [2, 5, 4] ([B, L, N], N from A), got [2, 5, 6]",
       [](ScanCall& c) {
         c.B = at::zeros({2, 5, 6});
       }},
      {"selective_scan: C: expected shape [2, 5, 4] ([B, L, N], N from A), got [2, 5]",
       [](ScanCall& c) {
         c.C = at::zeros({2, 5});
       }},
      {"selective_scan: D: expected shape [3] ([E]), got [4]", [](ScanCall& c) { c.D = at::zeros({4}); }},
      {"selective_scan: z: expected shape [2, 5, 3] ([B, L, E], as u), got [2, 5, 1]",
       [](ScanCall& c) {
         c.z = at::zeros({2, 5, 1});
       }},
      {"selective_scan: delta_bias: expected float32, got Double",
       [](ScanCall& c) { c.delta_bias = c.delta_bias->to(at::kDouble); }},
      {"selective_scan: initial_state: expected shape [2, 3, 4] ([B, E, N]), got [2, 4, 3]",
       [](ScanCall& c) {
         c.initial_state = at::zeros({2, 4, 3});
       }},
      {"selective_scan: reset: expected bool, got Float",
       [](ScanCall& c) {
         c.reset = at::zeros({2, 5});
       }},
      {"selective_scan: z: expected device cpu (that of u), got meta", [](ScanCall& c) { c.z = c.z->to(at::kMeta); }},
  };
  for (const Mistake& mistake : mistakes) {
    ScanCall call = make_call({.name = "op_mistake", .length = 5, .channels = 3, .state = 4});
    mistake.make(call);
    try {
      call();
      ADD_FAILURE() << "accepted: " << mistake.message;
    } catch (const c10::Error& error) {
      EXPECT_EQ(std::string(error.what_without_backtrace()), mistake.message);
    }
  }
}

// A program that calls the operations of which autograd is made, one by one.
using Tensors = std::vector<Tensor>;

Tensors backward_from(const ScanCall& c, const Tensor& checkpoints) {
  static const auto operation = c10::Dispatcher::singleton().findSchemaOrThrow("mestre::selective_scan_backward", "");
  torch::jit::Stack stack = {c.d_y,        c.d_final_state,  checkpoints,     c.u,    c.delta, c.A, c.B, c.C, c.D, c.z,
                             c.delta_bias, c.delta_softplus, c.initial_state, c.reset};
  operation.callBoxed(stack);
  Tensors gradients;
  for (const c10::IValue& gradient : stack) gradients.push_back(gradient.toTensor());
  return gradients;
}

Tensor checkpoints_of(const ScanCall& c) {
  static const auto operation = c10::Dispatcher::singleton().findSchemaOrThrow("mestre::selective_scan_forward", "");
  torch::jit::Stack stack = {c.u,    c.delta, c.A, c.B, c.C, c.D, c.z, c.delta_bias, c.delta_softplus, c.initial_state,
                             c.reset};
  operation.callBoxed(stack);
  return stack.at(2).toTensor();
}

TEST(SelectiveScanOp, BackwardTakesTheCheckpointsOfForwardAndNoOthers) {
  const ScanCall call = make_call({.name = "op_checkpoints", .length = 40, .channels = 3, .state = 4});
  const Tensor right = checkpoints_of(call);
  EXPECT_EQ(backward_from(call, right).size(), 9U);
  const std::pair<std::string, Tensor> mistakes[] = {
      {"selective_scan: checkpoints: expected shape [2, 2, 16, 4] (as selective_scan_forward returned them), got [2, "
       "1, 16, 4]",
       right.narrow(1, 0, 1)},
      {"selective_scan: checkpoints: expected shape [2, 2, 16, 4] (as selective_scan_forward returned them), got [0]",
       at::empty({0})},
      {"selective_scan: checkpoints: expected float32, got Double", right.to(at::kDouble)},
      {"selective_scan: checkpoints: expected contiguous, got strides [128, 64, 1, 16]",
       right.transpose(2, 3).contiguous().transpose(2, 3)},
      {"selective_scan: checkpoints: expected device cpu (that of u), got meta", right.to(at::kMeta)}};
  for (const auto& [message, checkpoints] : mistakes) {
    try {
      backward_from(call, checkpoints);
      ADD_FAILURE() << "accepted: " << message;
    } catch (const c10::Error& error) {
      EXPECT_EQ(std::string(error.what_without_backtrace()), message);
    }
  }
}

}  // namespace
}  // namespace mestre::kernels::testing
