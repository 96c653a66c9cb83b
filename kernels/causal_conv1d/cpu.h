// The causal convolution of one sequence on the CPU, without Torch: pointers and sizes.
//
// Equation: causal_conv1d.h. T is float or double. Nothing is checked here, nothing allocated, nothing kept.
#pragma once

#include <cstdint>

namespace mestre::kernels {

/// Rows of x lie `x_stride` apart; everything else is dense.
template <class T>
struct ConvolutionInput {
  std::int64_t length, channels, taps;
  bool silu;
  const T* x;
  std::int64_t x_stride;
  const T* weight;  // [taps, channels]: registers run along the channels
  const T* bias;    // [channels]
  const T* state;   // [taps - 1, channels], the inputs before the sequence
};

/// y [length, channels] and final_state [taps - 1, channels] are overwritten.
template <class T>
void causal_conv1d_forward(const ConvolutionInput<T>& in, T* y, T* final_state);

/// x [length, channels] and state [taps - 1, channels] are overwritten, the sums over the sequence added to:
/// weight [taps, channels], then bias [channels].
template <class T>
struct ConvolutionGradient {
  T* x;
  T* state;
  T* weight_and_bias;
};

/// Elements of `scratch`, zero at first.
constexpr std::int64_t convolution_scratch(std::int64_t taps, std::int64_t channels) {
  return (2 * taps + 1) * channels;
}

/// dy [length, channels], d_final [taps - 1, channels]; either may be null: zero.
template <class T>
void causal_conv1d_backward(const ConvolutionInput<T>& in, const T* dy, const T* d_final, T* scratch,
                            const ConvolutionGradient<T>& gradient);

}  // namespace mestre::kernels
