#include "kernels/gated_linear_attention/reference.h"

#include <cmath>
#include <cstddef>

namespace mestre::kernels {
namespace {

template <class Real>
std::vector<Real> rounded(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

template <class Real>
std::vector<double> widened(const std::vector<Real>& values) {
  return {values.begin(), values.end()};
}

/// The input in Real, and what is computed from it before any gradient: every state S_t [B, L, H, K, V], and o.
template <class Real>
struct Recurrence {
  std::int64_t batch, length, heads, key, value;
  std::vector<Real> q, k, v, log_gate, initial;
  std::vector<char> reset;
  Real scale;
  std::vector<Real> S, o;

  explicit Recurrence(const GatedAttentionInput& in)
      : batch(in.batch),
        length(in.length),
        heads(in.heads),
        key(in.key),
        value(in.value),
        q(rounded<Real>(in.q)),
        k(rounded<Real>(in.k)),
        v(rounded<Real>(in.v)),
        log_gate(rounded<Real>(in.log_gate)),
        initial(rounded<Real>(in.initial_state)),
        reset(in.reset),
        scale(static_cast<Real>(in.scale)),
        S(q.size() * value),
        o(v.size()) {
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t t = 0; t < length; ++t) {
        for (std::int64_t h = 0; h < heads; ++h) step(b, t, h);
      }
    }
  }

  /// Where the vectors of a token's head begin, in units of K, of V, or of K V.
  std::size_t at(std::int64_t b, std::int64_t t, std::int64_t h) const { return (b * length + t) * heads + h; }
  std::size_t at_state(std::int64_t b, std::int64_t h) const { return (b * heads + h) * key * value; }

  bool is_reset(std::int64_t b, std::int64_t t) const { return !reset.empty() && reset[b * length + t]; }

  /// S_{t-1}[i, j] as token t sees it.
  Real before(std::int64_t b, std::int64_t t, std::int64_t h, std::int64_t i, std::int64_t j) const {
    if (is_reset(b, t)) return Real(0);
    if (t > 0) return S[(at(b, t - 1, h) * key + i) * value + j];
    return initial.empty() ? Real(0) : initial[at_state(b, h) + i * value + j];
  }

  void step(std::int64_t b, std::int64_t t, std::int64_t h) {
    const std::size_t head = at(b, t, h);
    for (std::int64_t i = 0; i < key; ++i) {
      const std::size_t channel = head * key + i;
      for (std::int64_t j = 0; j < value; ++j) {
        // S_t = diag(exp(log_gate_t)) S_{t-1} + k_t^T v_t
        Real& state = S[channel * value + j];
        state = std::exp(log_gate[channel]) * before(b, t, h, i, j) + k[channel] * v[head * value + j];
        // o_t = scale q_t S_t
        o[head * value + j] += scale * q[channel] * state;
      }
    }
  }
};

template <class Real>
struct Gradient {
  std::vector<Real> q, k, v, log_gate, initial;
};

/// The gradients of one head of one sequence, from the last token to the first; d_S [K, V] begins as that of the final
/// state.
template <class Real>
void reverse_head(const Recurrence<Real>& s, const std::vector<Real>& d_o, std::vector<Real> d_S, std::int64_t b,
                  std::int64_t h, Gradient<Real>& d) {
  for (std::int64_t t = s.length - 1; t >= 0; --t) {
    const std::size_t head = s.at(b, t, h);
    for (std::int64_t i = 0; i < s.key; ++i) {
      const std::size_t channel = head * s.key + i;
      const Real alpha = std::exp(s.log_gate[channel]);
      for (std::int64_t j = 0; j < s.value; ++j) {
        const std::size_t out = head * s.value + j;
        Real& d_state = d_S[i * s.value + j];
        d.q[channel] += s.scale * d_o[out] * s.S[channel * s.value + j];
        d_state += s.scale * s.q[channel] * d_o[out];
        d.k[channel] += d_state * s.v[out];
        d.v[out] += d_state * s.k[channel];
        d.log_gate[channel] += d_state * alpha * s.before(b, t, h, i, j);
        d_state = s.is_reset(b, t) ? Real(0) : d_state * alpha;
      }
    }
  }
  for (std::size_t n = 0; n < d_S.size() && !d.initial.empty(); ++n) d.initial[s.at_state(b, h) + n] = d_S[n];
}

}  // namespace

template <class Real>
LinearAttentionOutput reference_forward(const GatedAttentionInput& input) {
  const Recurrence<Real> s(input);
  std::vector<Real> final_state;
  for (std::int64_t b = 0; b < s.batch; ++b) {
    const auto last = s.S.begin() + static_cast<std::ptrdiff_t>(s.at(b, s.length - 1, 0) * s.key * s.value);
    final_state.insert(final_state.end(), last, last + s.heads * s.key * s.value);
  }
  return {widened(s.o), widened(final_state)};
}

template <class Real>
GatedAttentionGradient reference_backward(const GatedAttentionInput& input, const std::vector<double>& d_o,
                                          const std::vector<double>& d_final_state) {
  const Recurrence<Real> s(input);
  const std::vector<Real> d_out = rounded<Real>(d_o), d_final = rounded<Real>(d_final_state);
  const auto zeros = [](const std::vector<Real>& like) { return std::vector<Real>(like.size()); };
  Gradient<Real> d = {zeros(s.q), zeros(s.k), zeros(s.v), zeros(s.log_gate), zeros(s.initial)};
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      std::vector<Real> d_S(s.key * s.value);
      for (std::size_t n = 0; n < d_S.size() && !d_final.empty(); ++n) d_S[n] = d_final[s.at_state(b, h) + n];
      reverse_head(s, d_out, d_S, b, h, d);
    }
  }
  return {widened(d.q), widened(d.k), widened(d.v), widened(d.log_gate), widened(d.initial)};
}

template LinearAttentionOutput reference_forward<float>(const GatedAttentionInput&);
template LinearAttentionOutput reference_forward<double>(const GatedAttentionInput&);
template GatedAttentionGradient reference_backward<float>(const GatedAttentionInput&, const std::vector<double>&,
                                                          const std::vector<double>&);
template GatedAttentionGradient reference_backward<double>(const GatedAttentionInput&, const std::vector<double>&,
                                                           const std::vector<double>&);

}  // namespace mestre::kernels
