// Gated linear attention as the equation has it (gated_linear_attention.h), forward and backward: plain loops over
// every state, all states kept.
//
// With Real = double it is the truth that the operation is judged by. With Real = float it is the yardstick: the same
// operations, each rounded to fp32, nothing reordered; the operation may err at most twice as much. Never optimised.
#pragma once

#include <cstdint>
#include <vector>

namespace mestre::kernels {

/// Row-major values in the shapes of gated_linear_attention.h. Empty vectors are absent arguments.
struct GatedAttentionInput {
  std::int64_t batch, length, heads, key, value;
  std::vector<double> q, k, v, log_gate, initial_state;
  std::vector<char> reset;
  double scale = 1;
};

struct LinearAttentionOutput {
  std::vector<double> o, final_state;
};

/// In the shapes of the inputs; empty for absent ones.
struct GatedAttentionGradient {
  std::vector<double> q, k, v, log_gate, initial_state;
};

/// Real is float or double.
template <class Real>
LinearAttentionOutput reference_forward(const GatedAttentionInput& input);

/// Gradients of sum(o * d_o) + sum(final_state * d_final_state); an empty d_final_state is zero.
template <class Real>
GatedAttentionGradient reference_backward(const GatedAttentionInput& input, const std::vector<double>& d_o,
                                          const std::vector<double>& d_final_state);

}  // namespace mestre::kernels
