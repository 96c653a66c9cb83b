// Calls of the operation as Torch sees it, for the tests: the tensors of a case, and what forward and backward return.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/selective_scan/test_support.h"

namespace mestre::kernels::testing {

/// The arguments of one call, in the order of the schema, and the gradients of its outputs.
struct ScanCall {
  at::Tensor u, delta, A, B, C;
  std::optional<at::Tensor> D, z, delta_bias;
  bool delta_softplus;
  std::optional<at::Tensor> initial_state, reset;
  at::Tensor d_y;
  std::optional<at::Tensor> d_final_state;

  std::tuple<at::Tensor, at::Tensor> operator()() const;

  /// The inputs that get a gradient, under its name.
  std::vector<std::pair<std::string, at::Tensor*>> differentiable();
};

ScanCall make_call(const ScanCase& scan_case, const ScanProblem& problem);
ScanCall make_call(const ScanCase& scan_case);

/// The same numbers in fp64.
ScanCall in_double(ScanCall call);

NamedValues named(const std::string& name, const at::Tensor& tensor);

/// Forward and, through autograd, backward. The caller's tensors are left without gradients.
std::vector<NamedValues> run(ScanCall call);

}  // namespace mestre::kernels::testing
