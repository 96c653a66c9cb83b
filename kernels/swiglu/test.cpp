#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "kernels/swiglu/swiglu.h"
#include "kernels/test_support.h"
#include "kernels/test_vectors.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;

Tensors definition(const Tensors& in) {
  const Tensors halves = in[0].chunk(2, -1);
  return {halves[0] / (1 + (-halves[0]).exp()) * halves[1]};
}

Tensors ours(const Tensors& in) {
  return {swiglu(in[0])};
}

TEST(Swiglu, AgreesWithItsDefinition) {
  for (const std::int64_t length : {1, 63, 64, 65, 1000}) {
    for (const std::int64_t p : {1, 7, 16, 131}) {
      SCOPED_TRACE(std::to_string(length) + " x " + std::to_string(p));
      at::manual_seed(length + p);
      expect_as_good_as_plain(ours, differentiated(definition), {at::randn({2, length, 2 * p}, at::kDouble) * 3});
    }
  }
}

TEST(Swiglu, AsACompositionAgreesWithItsDefinition) {
  const Operation composition = [](const Tensors& in) -> Tensors { return {swiglu_composition(in[0])}; };
  expect_as_good_as_plain(composition, differentiated(definition), {at::randn({5, 2 * 21}, at::kDouble) * 3});
}

TEST(Swiglu, TakesRowsThatLieApart) {
  at::manual_seed(4);
  const Operation sliced = [](const Tensors& in) -> Tensors { return {swiglu(in[0].narrow(2, 5, 14))}; };
  const auto same = [](const Tensors& in) { return definition({in[0].narrow(2, 5, 14)}); };
  expect_as_good_as_plain(sliced, differentiated(same), {at::randn({2, 9, 30}, at::kDouble)});
}

TEST(Swiglu, HoldsAtTheEnds) {
  const Tensor ends = at::tensor({-200.0F, 1.0F, 200.0F, 1.0F}).view({2, 2});
  const Tensor out = swiglu(ends).flatten();
  EXPECT_NEAR(out[0].item<double>(), 0, 1e-30);
  EXPECT_EQ(out[1].item<double>(), 200);
}

TEST(Swiglu, GivesShapesAndTypesOnMeta) {
  const Tensor y = swiglu(at::empty({2, 9, 10}, at::TensorOptions(at::kMeta).dtype(at::kBFloat16)));
  EXPECT_EQ(y.sizes(), (at::IntArrayRef{2, 9, 5}));
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
}

TEST(Swiglu, SaysWhatIsWrongAndWhatWasExpected) {
  expect_error("swiglu: gate_up: expected [..., 2P], got [2, 7]", [] { swiglu(at::zeros({2, 7})); });
  expect_error("swiglu: gate_up: expected float32, float64 or bfloat16, got Int", [] {
    swiglu(at::zeros({2, 8}, at::kInt));
  });
}

}  // namespace
}  // namespace mestre::kernels::testing
