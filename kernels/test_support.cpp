#include "kernels/test_support.h"

#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "kernels/simd.h"

namespace mestre::kernels::testing {
namespace {

/// The only tolerances of these tests. `ratio` is of the plain equation's error, floors of the truth's greatest, or
/// root-mean-square, value.
struct Tolerance {
  at::ScalarType type;
  double ratio, greatest_floor, mean_floor;
};
constexpr Tolerance kTolerances[] = {
    {at::kDouble, 0, 1e-12, 1e-12},
    {at::kFloat, 2, 3e-7, 1e-7},     // the floor is a few units in the last place: short sums round luckily
    {at::kBFloat16, 2, 4e-5, 1e-5},  // both are rounded to 8 bits; the floor is for ties that fall differently
};

constexpr std::int64_t kFewValues = 16;  // whose mean is as lucky as their greatest

Tolerance tolerance_for(at::ScalarType type) {
  for (const Tolerance& each : kTolerances)
    if (each.type == type) return each;
  ADD_FAILURE() << "a result of type " << c10::toString(type);
  return {};
}

struct Size {
  double greatest, mean;
};

/// Of fp64 values; NaN counts as infinite.
Size size_of(const at::Tensor& values) {
  if (values.numel() == 0) return {0, 0};
  const at::Tensor finite = values.nan_to_num(HUGE_VAL).abs();
  return {finite.max().item<double>(), finite.square().mean().sqrt().item<double>()};
}

void expect_near(const at::Tensor& got, const at::Tensor& plain, const at::Tensor& truth, const std::string& name) {
  ASSERT_EQ(got.sizes(), truth.sizes()) << name;
  Tolerance tolerance = tolerance_for(got.scalar_type());
  if (got.numel() < kFewValues) tolerance.mean_floor = tolerance.greatest_floor;
  const Size scale = size_of(truth), error = size_of(got.to(at::kDouble) - truth),
             allowed = size_of(plain.to(got.scalar_type()).to(at::kDouble) - truth);
  EXPECT_LE(error.greatest, tolerance.ratio * allowed.greatest + tolerance.greatest_floor * scale.greatest)
      << name << ", greatest error of " << scale.greatest;
  EXPECT_LE(error.mean, tolerance.ratio * allowed.mean + tolerance.mean_floor * scale.mean)
      << name << ", root-mean-square error of " << scale.mean;
}

Tensors in_type(const Tensors& tensors, at::ScalarType type) {
  Tensors result;
  for (const at::Tensor& tensor : tensors) result.push_back(tensor.defined() ? tensor.to(type) : tensor);
  return result;
}

Tensors rounded_to(const Tensors& tensors, const std::vector<at::ScalarType>& types) {
  Tensors result;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    result.push_back(tensors[i].defined() ? tensors[i].to(types[i]) : tensors[i]);
  return result;
}

Tensors with_gradients(const Tensors& inputs) {
  Tensors result;
  for (const at::Tensor& input : inputs)
    result.push_back(input.defined() ? input.detach().clone().requires_grad_() : input);
  return result;
}

/// Results and then the gradients of the defined inputs; an undefined gradient of a defined input is zero.
Tensors backward(const Tensors& results, const Tensors& inputs, const Tensors& gradients) {
  Tensors roots, given, wanted;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!gradients[i].defined() || !results[i].requires_grad()) continue;
    roots.push_back(results[i]);
    given.push_back(gradients[i]);
  }
  for (const at::Tensor& input : inputs)
    if (input.defined()) wanted.push_back(input);
  Tensors found = torch::autograd::grad(roots, wanted, given, false, false, true);
  Tensors all;
  for (const at::Tensor& result : results) all.push_back(result.detach());
  for (std::size_t i = 0; i < found.size(); ++i)
    all.push_back(found[i].defined() ? found[i] : at::zeros_like(wanted[i]));
  return all;
}

}  // namespace

Equation differentiated(const Operation& operation) {
  return [operation](const Tensors& inputs, const Tensors& gradients) {
    const Tensors given = with_gradients(inputs);
    return backward(operation(given), given, gradients);
  };
}

void poison_new_tensors() {
  at::globalContext().setDeterministicFillUninitializedMemory(true);
  at::globalContext().setDeterministicAlgorithms(true, false);
}

void expect_as_good_as_plain(const Operation& ours, const Equation& equation, const Tensors& inputs,
                             const std::vector<at::ScalarType>& types) {
  poison_new_tensors();
  const Tensors rounded = rounded_to(inputs, types), given = with_gradients(rounded);
  const Tensors results = ours(given);
  at::manual_seed(11);
  Tensors gradients;
  for (const at::Tensor& result : results)
    gradients.push_back(at::randn(result.sizes(), at::kDouble).to(result.scalar_type()));
  const Tensors got = backward(results, given, gradients);
  const Tensors truth = equation(in_type(rounded, at::kDouble), in_type(gradients, at::kDouble)),
                plain = equation(in_type(rounded, at::kFloat), in_type(gradients, at::kFloat));
  ASSERT_EQ(got.size(), truth.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const bool forward = i < results.size();
    expect_near(got[i], plain[i], truth[i],
                (forward ? "result " : "gradient ") + std::to_string(forward ? i : i - results.size()));
  }
}

void expect_as_good_as_plain(const Operation& ours, const Equation& equation, const Tensors& inputs) {
  for (const int bytes : kRegisterBytes) {
    const Registers registers(bytes);
    for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(std::to_string(bytes) + " bytes, " + c10::toString(type));
      expect_as_good_as_plain(ours, equation, inputs, std::vector<at::ScalarType>(inputs.size(), type));
    }
  }
}

Registers::Registers(int bytes) {
  simd::widest_allowed = bytes;
}
Registers::~Registers() {
  simd::widest_allowed = 64;
}

}  // namespace mestre::kernels::testing
