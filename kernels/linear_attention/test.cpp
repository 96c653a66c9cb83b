// What gated linear attention and retention have in common, each against its own fp64 reference: numbers, gradients,
// strides, types, autograd, Meta.
#include <string>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>

#include "kernels/linear_attention/test_support.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

class LinearAttention : public ::testing::TestWithParam<const AttentionOperation*> {
 protected:
  const AttentionOperation& operation() const { return *GetParam(); }
  AttentionCall call(const AttentionCase& c) const { return make_call(operation(), c); }

  void expect_right(const AttentionCall& c) const {
    EXPECT_EQ(judge_results(operation(), c, results_of(operation(), c)), "");
  }
};

INSTANTIATE_TEST_SUITE_P(Operations, LinearAttention, ::testing::Values(&kGatedLinearAttention, &kRetention),
                         [](const auto& instance) { return instance.param->name; });

std::vector<AttentionCase> cases() {
  using C = AttentionCase;
  return {C{.name = "length_1", .length = 1},
          C{.name = "length_2", .length = 2},
          C{.name = "length_63", .length = 63},
          C{.name = "length_64", .length = 64},
          C{.name = "length_65", .length = 65},
          C{.name = "length_130", .length = 130},
          C{.name = "length_130_no_reset", .length = 130, .reset = false},
          C{.name = "length_1000", .length = 1000, .reset = false, .decay_low = -0.05},
          C{.name = "one_token_without_state", .length = 1, .initial_state = false, .reset = false},
          C{.name = "no_initial_state", .initial_state = false},
          C{.name = "no_final_gradient", .final_gradient = false},
          C{.name = "bare", .initial_state = false, .reset = false, .final_gradient = false},
          C{.name = "one_sequence", .batch = 1},
          C{.name = "one_channel", .key = 1, .value = 1},
          C{.name = "wide_heads", .length = 70, .key = 48, .value = 33},
          C{.name = "decays_of_one", .decay_low = 0},
          C{.name = "strong_decays", .length = 200, .reset = false, .decay_low = -50, .decay_high = -20}};
}

TEST_P(LinearAttention, ErrsAtMostTwiceAsMuchAsThePlainComposition) {
  for (AttentionCase c : cases()) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(c.name + (type == at::kFloat ? "" : ", bf16"));
      c.type = type;
      expect_right(call(c));
    }
  }
}

TEST_P(LinearAttention, IsExactInDoublePrecision) {
  for (AttentionCase c : cases()) {
    SCOPED_TRACE(c.name);
    c.type = at::kDouble;
    expect_right(call(c));
  }
}

TEST_P(LinearAttention, TakesAnyStrides) {
  AttentionCall c = call({.name = "strides"});
  const auto turned = [](const Tensor& t) { return t.transpose(0, -1).contiguous().transpose(0, -1); };
  const std::vector<Tensor> slices = at::cat({c.q, c.k, c.v}, 3).split_with_sizes({5, 5, 7}, 3);  // of a projection
  c.q = slices[0];
  c.k = slices[1];
  c.v = turned(c.v);
  c.decay = c.decay.dim() == 4 ? turned(c.decay) : at::stack({c.decay, c.decay}, 1).select(1, 0);
  c.initial_state = turned(*c.initial_state);
  c.reset = turned(*c.reset);
  ASSERT_FALSE(c.q.is_contiguous() || c.v.is_contiguous() || c.decay.is_contiguous() || c.reset->is_contiguous());
  expect_right(c);
}

TEST_P(LinearAttention, TakesEachTypeOnItsOwn) {
  AttentionCall c = call({.name = "mixed", .type = at::kBFloat16});
  const auto [o, state] = operation().run(c);
  EXPECT_EQ(o.scalar_type(), at::kBFloat16);
  EXPECT_EQ(state.scalar_type(), at::kFloat);
  c.k = c.k.to(at::kFloat);
  const auto [mixed_o, mixed_state] = operation().run(c);
  EXPECT_TRUE(at::equal(o, mixed_o));  // the numbers are the same, only their type is not
  EXPECT_TRUE(at::equal(state, mixed_state));
  c.k.requires_grad_();
  std::get<0>(operation().run(c)).sum().backward();  // an expanded gradient, too
  EXPECT_EQ(c.k.grad().scalar_type(), at::kFloat);
}

TEST_P(LinearAttention, InTwoPiecesIsTheWhole) {
  for (const std::int64_t cut : {1, 37, 64, 99}) {
    SCOPED_TRACE(cut);
    AttentionCall whole = call({.name = "pieces", .length = 100, .type = at::kDouble});
    const std::vector<NamedValues> expected = results_of(operation(), whole);
    for (auto& [name, input] : whole.differentiable()) input->requires_grad_();
    const auto piece = [&](std::int64_t begin, std::int64_t end) {
      AttentionCall c = whole;
      for (Tensor* rows : {&c.q, &c.k, &c.v, &c.decay, &*c.reset}) {
        if (rows->dim() > 1) *rows = rows->slice(1, begin, end);
      }
      return c;
    };
    const AttentionCall first = piece(0, cut);
    AttentionCall second = piece(cut, 100);
    const auto [first_o, first_state] = operation().run(first);
    second.initial_state = first_state;
    const auto [second_o, state] = operation().run(second);
    const Tensor o = at::cat({first_o, second_o}, 1);
    loss_of(whole, o, state).backward();
    std::vector<NamedValues> results = {named("o", o), named("final_state", state)};
    for (auto& [name, input] : whole.differentiable()) results.push_back(named(name, input->grad()));
    for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(judge_double(results[i], expected[i]), "");
  }
}

TEST_P(LinearAttention, GivesNoGradientWhereNoneIsWanted) {
  AttentionCall c = call({.name = "no_gradient"});
  EXPECT_FALSE(std::get<0>(operation().run(c)).requires_grad());
  c.decay.requires_grad_();
  EXPECT_TRUE(std::get<0>(operation().run(c)).requires_grad());
  const at::NoGradGuard no_gradient;
  EXPECT_FALSE(std::get<0>(operation().run(c)).requires_grad());
}

TEST_P(LinearAttention, BackwardFromTheFinalStateAlone) {
  AttentionCall c = call({.name = "final_only", .type = at::kDouble});
  c.d_o.zero_();
  const NamedValues expected = operation().truth(c).at(3);
  c.k.requires_grad_();
  (std::get<1>(operation().run(c)) * *c.d_final_state).sum().backward();
  EXPECT_EQ(judge_double(named("d_k", c.k.grad()), expected), "");
}

TEST_P(LinearAttention, LetsNothingOfWhatIsBeforeAResetThrough) {
  AttentionCall c = call({.name = "reset", .reset = false});
  c.reset = at::zeros({2, 65}, at::kBool);
  c.reset->select(1, 40).fill_(true);
  AttentionCall other = c;
  other.v = c.v.clone();
  other.v.narrow(1, 0, 40).add_(1);
  other.initial_state = *c.initial_state + 1;
  const auto [o, state] = operation().run(c);
  const auto [other_o, other_state] = operation().run(other);
  EXPECT_TRUE(at::equal(o.narrow(1, 40, 25), other_o.narrow(1, 40, 25)));
  EXPECT_TRUE(at::equal(state, other_state));
  EXPECT_FALSE(at::equal(o.narrow(1, 0, 40), other_o.narrow(1, 0, 40)));
}

TEST_P(LinearAttention, ComputesTheSameUnderAutocast) {
  const AttentionCall c = call({.name = "autocast"});
  const std::vector<NamedValues> expected = results_of(operation(), c);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const std::vector<NamedValues> results = results_of(operation(), c);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  for (std::size_t i = 0; i < results.size(); ++i)
    EXPECT_TRUE(results[i].values == expected[i].values) << results[i].name;
}

TEST_P(LinearAttention, MetaGivesShapesAndTypesOnly) {
  AttentionCall c = call({.name = "meta", .type = at::kBFloat16});
  const auto [o, state] = operation().run(c);
  for (auto& [name, input] : c.differentiable()) *input = input->to(at::kMeta);
  c.reset = c.reset->to(at::kMeta);
  const auto [meta_o, meta_state] = operation().run(c);
  EXPECT_TRUE(meta_o.is_meta() && meta_state.is_meta());
  EXPECT_EQ(meta_o.sizes(), o.sizes());
  EXPECT_EQ(meta_o.strides(), o.strides());
  EXPECT_EQ(meta_o.scalar_type(), o.scalar_type());
  EXPECT_EQ(meta_state.sizes(), state.sizes());
  EXPECT_EQ(meta_state.strides(), state.strides());
  EXPECT_EQ(meta_state.scalar_type(), state.scalar_type());
}

TEST_P(LinearAttention, SaysWhichArgumentIsWrongAndWhatWasExpected) {
  struct Mistake {
    const char* message;
    void (*make)(AttentionCall&);
  };
  const Mistake mistakes[] = {
      {"q: expected 4 dimensions [B, L, H, K], got [2, 5]",
       [](AttentionCall& c) {
         c.q = at::zeros({2, 5});
       }},
      {"q: expected positive sizes, got [2, 0, 3, 4]",
       [](AttentionCall& c) {
         c.q = at::zeros({2, 0, 3, 4});
       }},
      {"q: expected float32 or bfloat16 or float64, got Int", [](AttentionCall& c) { c.q = c.q.to(at::kInt); }},
      {"k: expected shape [2, 5, 8, 4] ([B, L, H, K], as q), got [2, 5, 8, 6]",
       [](AttentionCall& c) {
         c.k = at::zeros({2, 5, 8, 6});
       }},
      {"k: expected float32 or bfloat16, got Double", [](AttentionCall& c) { c.k = c.k.to(at::kDouble); }},
      {"k: expected float64, as q is, got Float", [](AttentionCall& c) { c.q = c.q.to(at::kDouble); }},
      {"v: expected shape [2, 5, 8, 6] ([B, L, H, V], B, L and H from q), got [2, 4, 8, 6]",
       [](AttentionCall& c) {
         c.v = at::zeros({2, 4, 8, 6});
       }},
      {"initial_state: expected shape [2, 8, 4, 6] ([B, H, K, V]), got [2, 8, 6, 4]",
       [](AttentionCall& c) {
         c.initial_state = at::zeros({2, 8, 6, 4});
       }},
      {"initial_state: expected float32, got BFloat16",
       [](AttentionCall& c) { c.initial_state = c.initial_state->to(at::kBFloat16); }},
      {"reset: expected bool, got Float",
       [](AttentionCall& c) {
         c.reset = at::zeros({2, 5});
       }},
      {"v: expected device cpu (that of q), got meta", [](AttentionCall& c) { c.v = c.v.to(at::kMeta); }}};
  for (const Mistake& mistake : mistakes) {
    AttentionCall c = call({.name = "mistake", .length = 5, .key = 4, .value = 6});
    mistake.make(c);
    try {
      operation().run(c);
      ADD_FAILURE() << "accepted: " << mistake.message;
    } catch (const c10::Error& error) {
      EXPECT_EQ(std::string(error.what_without_backtrace()), operation().name + ": " + mistake.message);
    }
  }
}

/// The loss as the reference computes it.
double reference_loss(const AttentionOperation& operation, const AttentionCall& c) {
  const std::vector<NamedValues> out = operation.truth(c);
  const auto tensor = [](const NamedValues& values, const Tensor& like) {
    return at::tensor(values.values, at::kDouble).view_as(like);
  };
  return loss_of(c, tensor(out[0], c.d_o), tensor(out[1], *c.d_final_state)).item<double>();
}

TEST_P(LinearAttention, ReferenceBackwardIsTheDerivativeOfForward) {
  constexpr double kStep = 1e-5, kAllowed = 1e-8;  // error of the method: step squared, and 1e-16 / step
  AttentionCall c = call({.name = "finite", .length = 6, .heads = 2, .key = 2, .value = 3, .type = at::kDouble});
  c.reset = at::zeros({2, 6}, at::kBool);
  c.reset->select(1, 3)[1].fill_(true);
  const std::vector<NamedValues> results = operation().truth(c);
  std::size_t next = 2;
  for (auto& [name, input] : c.differentiable()) {
    const NamedValues& gradient = results.at(next++);
    ASSERT_EQ(gradient.name, name);
    double* values = input->mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < input->numel(); ++i) {
      const double kept = values[i];
      values[i] = kept + kStep;
      const double above = reference_loss(operation(), c);
      values[i] = kept - kStep;
      const double below = reference_loss(operation(), c);
      values[i] = kept;
      EXPECT_NEAR((above - below) / (2 * kStep), gradient.values[i], kAllowed) << name << "[" << i << "]";
    }
  }
}

}  // namespace
}  // namespace mestre::kernels::testing
