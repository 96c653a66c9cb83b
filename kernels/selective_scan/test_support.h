// What the tests and the bench of the selective scan share: random inputs, and what the reference makes
// of them.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "kernels/judge.h"
#include "kernels/selective_scan/cpu.h"
#include "kernels/selective_scan/reference.h"

namespace mestre::kernels::testing {

/// One shape and one choice of options; also the seed of its numbers.
struct ScanCase {
  std::string name;
  std::int64_t batch = 2, length = 65, channels = 19, state = 5;
  bool D = true, z = true, delta_bias = true, delta_softplus = true, initial_state = true, reset = true;
  bool final_gradient = true;
  Element element = Element::kFloat32;              // of u, delta, B, C, z
  double delta_low = -6, delta_high = 1;            // before bias and softplus
  std::int64_t batch_padding = 0, row_padding = 0;  // unused elements between sequences and between tokens
};

/// The inputs of a case and the gradients of its outputs, each rounded to the type that the case gives it.
struct ScanProblem {
  ReferenceInput input;
  std::vector<double> d_y, d_final_state;  // the latter empty where the case has none
};

/// For GoogleTest.
inline void PrintTo(const ScanCase& scan_case, std::ostream* out) {
  *out << scan_case.name;
}

ScanProblem make_problem(const ScanCase& scan_case);

/// All that forward and backward return, computed by the reference in Real and rounded to the types of the schema
/// unless Real is double. The gradients of absent inputs are left out.
template <class Real>
std::vector<NamedValues> reference_results(const ScanProblem& problem, Element element);

}  // namespace mestre::kernels::testing
