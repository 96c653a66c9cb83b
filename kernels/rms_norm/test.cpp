#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "kernels/rms_norm/rms_norm.h"
#include "kernels/test_support.h"
#include "kernels/test_vectors.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

constexpr double kEpsilon = 1e-5;

Tensor normed(const Tensor& x, const Tensor& weight) {
  return x / ((x * x).mean(-1, true) + kEpsilon).sqrt() * weight;
}

// Each operation, its definition and its composition; inputs are x, weight and, for the latter two, the residual or
// the gate.
struct Norm {
  const char* name;
  std::vector<std::vector<at::ScalarType>> types;  // of the inputs
  Operation ours, definition, composition;
};

constexpr at::ScalarType kHalf = at::kBFloat16, kSingle = at::kFloat, kDouble = at::kDouble;

const Norm kNorms[] = {
    {"rms_norm",
     {{kDouble, kDouble}, {kSingle, kSingle}, {kHalf, kHalf}, {kHalf, kSingle}},
     [](const Tensors& in) -> Tensors { return {rms_norm(in[0], in[1], kEpsilon)}; },
     [](const Tensors& in) -> Tensors { return {normed(in[0], in[1])}; },
     [](const Tensors& in) -> Tensors { return {rms_norm_composition(in[0], in[1], kEpsilon)}; }},
    {"add_rms_norm",
     {{kDouble, kDouble, kDouble}, {kSingle, kSingle, kSingle}, {kHalf, kSingle, kSingle}},
     [](const Tensors& in) -> Tensors {
       const auto [y, sum] = add_rms_norm(in[0], in[2], in[1], kEpsilon);
       return {y, sum};
     },
     [](const Tensors& in) -> Tensors {
       const Tensor sum = in[0] + in[2];
       return {normed(sum, in[1]), sum};
     },
     [](const Tensors& in) -> Tensors {
       const auto [y, sum] = add_rms_norm_composition(in[0], in[2], in[1], kEpsilon);
       return {y, sum};
     }},
    {"gated_rms_norm",
     {{kDouble, kDouble, kDouble}, {kSingle, kSingle, kSingle}, {kHalf, kHalf, kHalf}, {kHalf, kSingle, kSingle}},
     [](const Tensors& in) -> Tensors { return {gated_rms_norm(in[0], in[2], in[1], kEpsilon)}; },
     [](const Tensors& in) -> Tensors { return {normed(in[0], in[1]) * in[2] / (1 + (-in[2]).exp())}; },
     [](const Tensors& in) -> Tensors { return {gated_rms_norm_composition(in[0], in[2], in[1], kEpsilon)}; }},
};

class Norms : public ::testing::TestWithParam<Norm> {
 protected:
  [[nodiscard]] static Tensors some_inputs(std::int64_t length, std::int64_t width) {
    at::manual_seed(length + width);
    Tensors inputs = {at::randn({2, length, width}, at::kDouble), at::randn({width}, at::kDouble)};
    if (GetParam().types[0].size() == 3) inputs.push_back(at::randn({2, length, width}, at::kDouble));
    return inputs;
  }
};

TEST_P(Norms, AgreeWithTheirDefinition) {
  for (const std::int64_t length : {1, 63, 64, 65, 1000}) {
    for (const std::int64_t width : {3, 7, 40, 131}) {
      SCOPED_TRACE(std::to_string(length) + " x " + std::to_string(width));
      for (const int bytes : kRegisterBytes) {
        const Registers registers(bytes);
        for (const std::vector<at::ScalarType>& types : GetParam().types) {
          SCOPED_TRACE(std::to_string(bytes) + " bytes, " + c10::toString(types[0]));
          expect_as_good_as_plain(GetParam().ours, differentiated(GetParam().definition), some_inputs(length, width),
                                  types);
        }
      }
    }
  }
}

TEST_P(Norms, AsCompositionsAgreeWithTheirDefinition) {
  for (const std::vector<at::ScalarType>& types : GetParam().types)
    expect_as_good_as_plain(GetParam().composition, differentiated(GetParam().definition), some_inputs(65, 21), types);
}

TEST_P(Norms, TakeRowsThatLieApart) {
  const auto sliced = [](const Operation& operation) {
    return [operation](const Tensors& in) {
      Tensors slices;
      for (const Tensor& tensor : in) slices.push_back(tensor.narrow(-1, 5, 21));
      return operation(slices);
    };
  };
  expect_as_good_as_plain(sliced(GetParam().ours), differentiated(sliced(GetParam().definition)), some_inputs(9, 40),
                          GetParam().types[1]);
}

TEST_P(Norms, DifferNotByABitBetweenOneThreadAndTwo) {
  const auto results = [&](int threads) {
    at::set_num_threads(threads);
    Tensors given;
    for (const Tensor& tensor : some_inputs(1000, 40)) given.push_back(tensor.to(at::kFloat).requires_grad_());
    GetParam().ours(given)[0].square().sum().backward();
    Tensors all;
    for (const Tensor& tensor : given) all.push_back(tensor.grad());
    return all;
  };
  const int before = at::get_num_threads();
  const Tensors one = results(1), two = results(2);
  at::set_num_threads(before);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], two[i])) << i;
}

INSTANTIATE_TEST_SUITE_P(Norms, Norms, ::testing::ValuesIn(kNorms),
                         [](const auto& norm) { return std::string(norm.param.name); });

TEST(AddRmsNorm, PassesTheGradientOfTheSumAlone) {
  const Tensor x = at::randn({3, 5}).requires_grad_(), residual = at::randn({3, 5}).requires_grad_();
  std::get<1>(add_rms_norm(x, residual, at::ones({5}), kEpsilon)).sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), at::ones({3, 5})));
  EXPECT_TRUE(at::equal(residual.grad(), at::ones({3, 5})));
}

// The sum is rounded to bf16 first, so this is the norm of what is returned, to the bit, and has its gradients.
TEST(AddRmsNorm, OfABf16ResidualIsTheNormOfTheRoundedSum) {
  at::manual_seed(2);
  const auto draw = [](at::IntArrayRef shape) { return at::randn(shape).to(at::kBFloat16).requires_grad_(); };
  const Tensor x = draw({9, 21}), residual = draw({9, 21}), weight = draw({21});
  const Tensor rounded = (x + residual).detach().requires_grad_(), same = weight.detach().clone().requires_grad_();
  const auto [y, sum] = add_rms_norm(x, residual, weight, kEpsilon);
  const Tensor normed_sum = rms_norm(rounded, same, kEpsilon);
  EXPECT_TRUE(at::equal(sum, rounded));
  EXPECT_TRUE(at::equal(y, normed_sum));
  y.square().sum().backward();
  normed_sum.square().sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), rounded.grad()));
  EXPECT_TRUE(at::equal(residual.grad(), rounded.grad()));
  EXPECT_TRUE(at::equal(weight.grad(), same.grad()));
}

TEST(AddRmsNorm, KeepsTheTypesOfUpdateAndResidual) {
  for (const c10::Device device : {at::kCPU, at::kMeta}) {
    const auto [y, sum] =
        add_rms_norm(at::ones({2, 5}, at::TensorOptions(device).dtype(at::kBFloat16)),
                     at::ones({2, 5}, at::TensorOptions(device)), at::ones({5}, at::TensorOptions(device)), kEpsilon);
    EXPECT_EQ(y.scalar_type(), at::kBFloat16);
    EXPECT_EQ(sum.scalar_type(), at::kFloat);
    EXPECT_EQ(sum.sizes(), (at::IntArrayRef{2, 5}));
  }
}

TEST(RmsNorm, SaysWhichArgumentIsWrongAndWhatWasExpected) {
  const Tensor x = at::zeros({2, 5});
  expect_error("rms_norm: weight: expected shape [5] ([D], D from x), got [4]",
               [&] { rms_norm(x, at::zeros({4}), kEpsilon); });
  expect_error("add_rms_norm: residual: expected shape [2, 5] ([..., D], as x), got [5]",
               [&] { add_rms_norm(x, x[0], at::zeros({5}), kEpsilon); });
  expect_error("gated_rms_norm: gate: expected float32 or bfloat16 (to go with x), got Double",
               [&] { gated_rms_norm(x, x.to(at::kDouble), at::zeros({5}), kEpsilon); });
}

}  // namespace
}  // namespace mestre::kernels::testing
