#include "kernels/retention/reference.h"

#include <cstddef>

namespace mestre::kernels {
namespace {

/// log_gate[b, t, h, i] = log_decay[h]
GatedAttentionInput with_gates(const RetentionInput& in) {
  GatedAttentionInput gated = {.batch = in.batch,
                               .length = in.length,
                               .heads = in.heads,
                               .key = in.key,
                               .value = in.value,
                               .q = in.q,
                               .k = in.k,
                               .v = in.v,
                               .log_gate = std::vector<double>(in.k.size()),
                               .initial_state = in.initial_state,
                               .reset = in.reset,
                               .scale = in.scale};
  for (std::size_t n = 0; n < gated.log_gate.size(); ++n) gated.log_gate[n] = in.log_decay[n / in.key % in.heads];
  return gated;
}

}  // namespace

template <class Real>
LinearAttentionOutput reference_forward(const RetentionInput& input) {
  return reference_forward<Real>(with_gates(input));
}

template <class Real>
RetentionGradient reference_backward(const RetentionInput& input, const std::vector<double>& d_o,
                                     const std::vector<double>& d_final_state) {
  const GatedAttentionGradient d = reference_backward<Real>(with_gates(input), d_o, d_final_state);
  std::vector<Real> d_decay(input.heads);
  for (std::size_t n = 0; n < d.log_gate.size(); ++n) {
    d_decay[n / input.key % input.heads] += static_cast<Real>(d.log_gate[n]);
  }
  return {d.q, d.k, d.v, {d_decay.begin(), d_decay.end()}, d.initial_state};
}

template LinearAttentionOutput reference_forward<float>(const RetentionInput&);
template LinearAttentionOutput reference_forward<double>(const RetentionInput&);
template RetentionGradient reference_backward<float>(const RetentionInput&, const std::vector<double>&,
                                                     const std::vector<double>&);
template RetentionGradient reference_backward<double>(const RetentionInput&, const std::vector<double>&,
                                                      const std::vector<double>&);

}  // namespace mestre::kernels
