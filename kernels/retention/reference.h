// Retention by its definition: gated linear attention whose gate is one number per head. Never optimised; Real as in
// kernels/gated_linear_attention/reference.h.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/gated_linear_attention/reference.h"

namespace mestre::kernels {

/// Row-major values in the shapes of retention.h. Empty vectors are absent arguments.
struct RetentionInput {
  std::int64_t batch, length, heads, key, value;
  std::vector<double> q, k, v, log_decay, initial_state;
  std::vector<char> reset;
  double scale = 1;
};

/// In the shapes of the inputs; empty for absent ones.
struct RetentionGradient {
  std::vector<double> q, k, v, log_decay, initial_state;
};

template <class Real>
LinearAttentionOutput reference_forward(const RetentionInput& input);

/// Gradients of sum(o * d_o) + sum(final_state * d_final_state); an empty d_final_state is zero.
template <class Real>
RetentionGradient reference_backward(const RetentionInput& input, const std::vector<double>& d_o,
                                     const std::vector<double>& d_final_state);

}  // namespace mestre::kernels
