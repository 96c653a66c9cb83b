#include "kernels/causal_conv1d/reference.h"

#include <cmath>

namespace mestre::kernels {

template <class Real>
Real ConvolutionReference<Real>::at(std::int64_t b, std::int64_t time, std::int64_t e) const {
  if (time >= 0) return x[(b * length + time) * channels + e];
  return initial_state[(b * (taps - 1) + time + taps - 1) * channels + e];
}

template <class Real>
Real ConvolutionReference<Real>::sum(std::int64_t b, std::int64_t t, std::int64_t e) const {
  Real p = bias[e];
  for (std::int64_t k = 0; k < taps; ++k) p += weight[e * taps + k] * at(b, t - taps + 1 + k, e);
  return p;
}

template <class Real>
ConvolutionReferenceOutput<Real> reference_forward(const ConvolutionReference<Real>& in) {
  ConvolutionReferenceOutput<Real> out;
  for (std::int64_t b = 0; b < in.batch; ++b) {
    for (std::int64_t t = 0; t < in.length; ++t) {
      for (std::int64_t e = 0; e < in.channels; ++e) {
        const Real p = in.sum(b, t, e);
        out.y.push_back(in.silu ? p / (1 + std::exp(-p)) : p);
      }
    }
    for (std::int64_t time = in.length - in.taps + 1; time < in.length; ++time)
      for (std::int64_t e = 0; e < in.channels; ++e) out.final_state.push_back(in.at(b, time, e));
  }
  return out;
}

template <class Real>
ConvolutionReferenceGradient<Real> reference_backward(const ConvolutionReference<Real>& in,
                                                      const ConvolutionReferenceOutput<Real>& d) {
  ConvolutionReferenceGradient<Real> gradient = {std::vector<Real>(in.x.size()), std::vector<Real>(in.weight.size()),
                                                 std::vector<Real>(in.bias.size()),
                                                 std::vector<Real>(in.initial_state.size())};
  const auto d_at = [&](std::int64_t b, std::int64_t time, std::int64_t e) -> Real& {
    if (time >= 0) return gradient.x[(b * in.length + time) * in.channels + e];
    return gradient.initial_state[(b * (in.taps - 1) + time + in.taps - 1) * in.channels + e];
  };
  for (std::int64_t b = 0; b < in.batch; ++b) {
    for (std::int64_t t = 0; t < in.length; ++t) {
      for (std::int64_t e = 0; e < in.channels; ++e) {
        const Real p = in.sum(b, t, e), s = 1 / (1 + std::exp(-p)), dy = d.y[(b * in.length + t) * in.channels + e];
        const Real dp = in.silu ? dy * s * (1 + p * (1 - s)) : dy;
        gradient.bias[e] += dp;
        for (std::int64_t k = 0; k < in.taps; ++k) {
          const std::int64_t time = t - in.taps + 1 + k;
          gradient.weight[e * in.taps + k] += dp * in.at(b, time, e);
          d_at(b, time, e) += dp * in.weight[e * in.taps + k];
        }
      }
    }
    for (std::int64_t j = 0; j + 1 < in.taps; ++j)
      for (std::int64_t e = 0; e < in.channels; ++e)
        d_at(b, in.length - in.taps + 1 + j, e) += d.final_state[(b * (in.taps - 1) + j) * in.channels + e];
  }
  return gradient;
}

template struct ConvolutionReference<float>;
template struct ConvolutionReference<double>;
template ConvolutionReferenceOutput<float> reference_forward(const ConvolutionReference<float>&);
template ConvolutionReferenceOutput<double> reference_forward(const ConvolutionReference<double>&);
template ConvolutionReferenceGradient<float> reference_backward(const ConvolutionReference<float>&,
                                                                const ConvolutionReferenceOutput<float>&);
template ConvolutionReferenceGradient<double> reference_backward(const ConvolutionReference<double>&,
                                                                 const ConvolutionReferenceOutput<double>&);

}  // namespace mestre::kernels
