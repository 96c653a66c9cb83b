#include "kernels/selective_scan/reference.h"

#include <cmath>
#include <cstddef>

namespace mestre::kernels {
namespace {

template <class Real>
Real sigmoid(Real x) {
  return Real(1) / (Real(1) + std::exp(-x));
}

template <class Real>
std::vector<Real> rounded(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

template <class Real>
std::vector<double> widened(const std::vector<Real>& values) {
  return {values.begin(), values.end()};
}

/// The input in Real, and what is computed from it before any gradient: delta, every state Z_t, and y before its gate.
template <class Real>
struct Scan {
  std::int64_t batch, length, channels, state;
  std::vector<Real> u, raw_delta, A, B, C, D, z, bias, initial;
  std::vector<char> reset;
  bool delta_softplus;
  std::vector<Real> delta, Z, core;

  explicit Scan(const ReferenceInput& in)
      : batch(in.batch),
        length(in.length),
        channels(in.channels),
        state(in.state),
        u(rounded<Real>(in.u)),
        raw_delta(rounded<Real>(in.delta)),
        A(rounded<Real>(in.A)),
        B(rounded<Real>(in.B)),
        C(rounded<Real>(in.C)),
        D(rounded<Real>(in.D)),
        z(rounded<Real>(in.z)),
        bias(rounded<Real>(in.delta_bias)),
        initial(rounded<Real>(in.initial_state)),
        reset(in.reset),
        delta_softplus(in.delta_softplus),
        delta(u.size()),
        Z(u.size() * state),
        core(u.size()) {
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t t = 0; t < length; ++t) {
        for (std::int64_t e = 0; e < channels; ++e) step(b, t, e);
      }
    }
  }

  std::size_t at(std::int64_t b, std::int64_t t, std::int64_t e) const { return (b * length + t) * channels + e; }
  std::size_t at_row(std::int64_t b, std::int64_t t, std::int64_t n) const { return (b * length + t) * state + n; }
  std::size_t at_state(std::int64_t b, std::int64_t e, std::int64_t n) const { return (b * channels + e) * state + n; }

  Real biased_delta(std::int64_t b, std::int64_t t, std::int64_t e) const {
    return raw_delta[at(b, t, e)] + (bias.empty() ? Real(0) : bias[e]);
  }

  bool is_reset(std::int64_t b, std::int64_t t) const { return !reset.empty() && reset[b * length + t]; }

  /// Z_{t-1} as token t sees it.
  Real before(std::int64_t b, std::int64_t t, std::int64_t e, std::int64_t n) const {
    if (is_reset(b, t)) return Real(0);
    if (t > 0) return Z[at(b, t - 1, e) * state + n];
    return initial.empty() ? Real(0) : initial[at_state(b, e, n)];
  }

  void step(std::int64_t b, std::int64_t t, std::int64_t e) {
    const std::size_t i = at(b, t, e);
    const Real x = biased_delta(b, t, e);
    delta[i] = !delta_softplus ? x : x > Real(20) ? x : std::log1p(std::exp(x));
    for (std::int64_t n = 0; n < state; ++n) {
      // Z_t = exp(delta_t A) Z_{t-1} + delta_t B_t u_t
      Z[i * state + n] =
          std::exp(delta[i] * A[e * state + n]) * before(b, t, e, n) + delta[i] * B[at_row(b, t, n)] * u[i];
      // y_t = C_t Z_t + D u_t
      core[i] += C[at_row(b, t, n)] * Z[i * state + n];
    }
    if (!D.empty()) core[i] += D[e] * u[i];
  }
};

template <class Real>
struct Gradient {
  std::vector<Real> u, delta, A, B, C, D, z, bias, initial;
};

/// The gradients of one channel of one sequence, from the last token to the first.
template <class Real>
void reverse_channel(const Scan<Real>& s, const std::vector<Real>& d_y, std::vector<Real> d_Z, std::int64_t b,
                     std::int64_t e, Gradient<Real>& d) {
  for (std::int64_t t = s.length - 1; t >= 0; --t) {
    const std::size_t i = s.at(b, t, e);
    Real d_core = d_y[i], d_delta = 0;
    if (!s.z.empty()) {  // y_t *= silu(z_t)
      const Real gate = sigmoid(s.z[i]);
      d.z[i] = d_y[i] * s.core[i] * gate * (Real(1) + s.z[i] * (Real(1) - gate));
      d_core *= s.z[i] * gate;
    }
    for (std::int64_t n = 0; n < s.state; ++n) {
      const std::size_t row = s.at_row(b, t, n);
      const Real A = s.A[e * s.state + n], decay = std::exp(s.delta[i] * A), before = s.before(b, t, e, n);
      d.C[row] += d_core * s.Z[i * s.state + n];
      d_Z[n] += d_core * s.C[row];
      d.B[row] += d_Z[n] * s.delta[i] * s.u[i];
      d.u[i] += d_Z[n] * s.delta[i] * s.B[row];
      d_delta += d_Z[n] * (s.B[row] * s.u[i] + A * decay * before);
      d.A[e * s.state + n] += d_Z[n] * s.delta[i] * decay * before;
      d_Z[n] = s.is_reset(b, t) ? Real(0) : d_Z[n] * decay;
    }
    if (!s.D.empty()) {
      d.u[i] += s.D[e] * d_core;
      d.D[e] += s.u[i] * d_core;
    }
    d.delta[i] = s.delta_softplus ? d_delta * sigmoid(s.biased_delta(b, t, e)) : d_delta;
    if (!s.bias.empty()) d.bias[e] += d.delta[i];
  }
  for (std::int64_t n = 0; n < s.state && !s.initial.empty(); ++n) d.initial[s.at_state(b, e, n)] = d_Z[n];
}

}  // namespace

template <class Real>
ReferenceOutput reference_forward(const ReferenceInput& input) {
  const Scan<Real> s(input);
  std::vector<Real> y = s.core, final_state(s.batch * s.channels * s.state);
  for (std::size_t i = 0; i < s.z.size(); ++i) y[i] *= s.z[i] * sigmoid(s.z[i]);
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t e = 0; e < s.channels; ++e) {
      for (std::int64_t n = 0; n < s.state; ++n) {
        final_state[s.at_state(b, e, n)] = s.Z[s.at(b, s.length - 1, e) * s.state + n];
      }
    }
  }
  return {widened(y), widened(final_state)};
}

template <class Real>
ReferenceGradient reference_backward(const ReferenceInput& input, const std::vector<double>& d_y,
                                     const std::vector<double>& d_final_state) {
  const Scan<Real> s(input);
  const std::vector<Real> d_out = rounded<Real>(d_y), d_final = rounded<Real>(d_final_state);
  const auto zeros = [](const std::vector<Real>& like) { return std::vector<Real>(like.size()); };
  Gradient<Real> d = {zeros(s.u), zeros(s.u), zeros(s.A),    zeros(s.B),      zeros(s.C),
                      zeros(s.D), zeros(s.z), zeros(s.bias), zeros(s.initial)};
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t e = 0; e < s.channels; ++e) {
      std::vector<Real> d_Z(s.state);
      for (std::int64_t n = 0; n < s.state && !d_final.empty(); ++n) d_Z[n] = d_final[s.at_state(b, e, n)];
      reverse_channel(s, d_out, d_Z, b, e, d);
    }
  }
  return {widened(d.u), widened(d.delta), widened(d.A),    widened(d.B),      widened(d.C),
          widened(d.D), widened(d.z),     widened(d.bias), widened(d.initial)};
}

template ReferenceOutput reference_forward<float>(const ReferenceInput&);
template ReferenceOutput reference_forward<double>(const ReferenceInput&);
template ReferenceGradient reference_backward<float>(const ReferenceInput&, const std::vector<double>&,
                                                     const std::vector<double>&);
template ReferenceGradient reference_backward<double>(const ReferenceInput&, const std::vector<double>&,
                                                      const std::vector<double>&);

}  // namespace mestre::kernels
