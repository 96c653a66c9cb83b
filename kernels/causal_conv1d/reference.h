// The causal convolution as the equation has it (causal_conv1d.h), in loops. Real = double is the truth, float the
// yardstick. Never optimised.
#pragma once

#include <cstdint>
#include <vector>

namespace mestre::kernels {

/// Row-major, in the shapes of causal_conv1d.h; `bias` and `initial_state` of zeros where there are none.
template <class Real>
struct ConvolutionReference {
  std::int64_t batch, length, channels, taps;
  bool silu;
  std::vector<Real> x, weight, bias, initial_state;

  /// Input at `time`, which may lie before the sequence.
  [[nodiscard]] Real at(std::int64_t b, std::int64_t time, std::int64_t e) const;
  /// The value before SiLU.
  [[nodiscard]] Real sum(std::int64_t b, std::int64_t t, std::int64_t e) const;
};

template <class Real>
struct ConvolutionReferenceOutput {
  std::vector<Real> y, final_state;
};
template <class Real>
ConvolutionReferenceOutput<Real> reference_forward(const ConvolutionReference<Real>& in);

template <class Real>
struct ConvolutionReferenceGradient {
  std::vector<Real> x, weight, bias, initial_state;
};
template <class Real>
ConvolutionReferenceGradient<Real> reference_backward(const ConvolutionReference<Real>& in,
                                                      const ConvolutionReferenceOutput<Real>& d);

}  // namespace mestre::kernels
