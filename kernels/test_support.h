// How the tests of the operations judge a result: forward and backward, against the equation in fp64.
//
// The yardstick is the equation itself, in fp32, over the same rounded inputs, with only its results rounded: an
// operation may err at most twice as much, plus a floor. In fp64 it must agree to 1e-12 of the greatest value.
#pragma once

#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

namespace mestre::kernels::testing {

using Tensors = std::vector<at::Tensor>;

/// Inputs to results. Undefined inputs are arguments left out.
using Operation = std::function<Tensors(const Tensors& inputs)>;

/// Inputs and the gradients of the results (undefined: zero) to the results and then the gradients of the inputs, in
/// the type of the inputs (fp32 or fp64).
using Equation = std::function<Tensors(const Tensors& inputs, const Tensors& gradients)>;

/// The gradients by autograd, of an operation written in ATen's.
[[nodiscard]] Equation differentiated(const Operation& operation);

/// Expects of `ours`, over `inputs` rounded to `types` (one for each input), what this header's head says.
void expect_as_good_as_plain(const Operation& ours, const Equation& equation, const Tensors& inputs,
                             const std::vector<at::ScalarType>& types);

/// The same in fp64, fp32 and bf16, with registers of every width.
void expect_as_good_as_plain(const Operation& ours, const Equation& equation, const Tensors& inputs);

/// Runs the rest of a scope with registers of at most so many bytes.
class Registers {
 public:
  explicit Registers(int bytes);
  ~Registers();
  Registers(const Registers&) = delete;
  Registers& operator=(const Registers&) = delete;
};
constexpr int kRegisterBytes[] = {16, 32, 64};

/// Fills what is allocated with NaN, so that a result that is not written is seen.
void poison_new_tensors();

}  // namespace mestre::kernels::testing
