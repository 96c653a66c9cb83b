// The selective scan as the equation has it (selective_scan.h), forward and backward: plain loops over every state, all
// states kept.
//
// With Real = double it is the truth that all variants are judged by. With Real = float it is the yardstick: the same
// operations, each rounded to fp32, with nothing fused and nothing reordered; a variant may err at most twice as much.
// Never optimised.
#pragma once

#include <cstdint>
#include <vector>

namespace mestre::kernels {

/// Row-major values in the shapes of selective_scan.h. Empty vectors are absent arguments.
struct ReferenceInput {
  std::int64_t batch, length, channels, state;
  std::vector<double> u, delta, A, B, C, D, z, delta_bias, initial_state;
  std::vector<char> reset;
  bool delta_softplus = false;
};

struct ReferenceOutput {
  std::vector<double> y, final_state;
};

/// In the shapes of the inputs; empty for absent ones.
struct ReferenceGradient {
  std::vector<double> u, delta, A, B, C, D, z, delta_bias, initial_state;
};

/// Real is float or double.
template <class Real>
ReferenceOutput reference_forward(const ReferenceInput& input);

/// Gradients of sum(y * d_y) + sum(final_state * d_final_state); an empty d_final_state is zero.
template <class Real>
ReferenceGradient reference_backward(const ReferenceInput& input, const std::vector<double>& d_y,
                                     const std::vector<double>& d_final_state);

}  // namespace mestre::kernels
