#include "core/model/short_convolution.h"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/base/error.h"
#include "core/model/simd.h"

namespace mestre {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kMostTaps = 64;
constexpr std::int64_t kRowsAhead = 3;  // that the backward pass fetches before it needs them

/// One sequence: x and dx may have a stride from token to token, the rest is dense. `weight` is [taps, channels] here,
/// so that registers run along the channels.
template <class T>
struct Sequence {
  std::int64_t length, channels, taps;
  const T* x;
  std::int64_t x_stride;
  const T* weight;
  const T* bias;

  /// bias + sum_k weight_k x_{t - taps + 1 + k} for one register of channels.
  template <class R>
  MESTRE_INLINE typename R::Value convolved(std::int64_t t, std::int64_t channel, auto access) const {
    typename R::Value value = access.load(bias + channel);
    for (std::int64_t k = t < taps - 1 ? taps - 1 - t : 0; k < taps; ++k)
      value += access.load(weight + k * channels + channel) * access.load(x + (t - taps + 1 + k) * x_stride + channel);
    return value;
  }
};

template <class T>
void convolve(const Sequence<T>& s, T* y) {
  simd::with_widest_registers([&]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    for (std::int64_t t = 0; t < s.length; ++t) {
      simd::for_each_register<R>(s.channels, [&](std::int64_t channel, auto access) MESTRE_INLINE_LAMBDA {
        const typename R::Value p = s.template convolved<R>(t, channel, access);
        access.store(y + t * s.channels + channel, p * R::sigmoid(p));
      });
    }
  });
}

// With p the value before SiLU, s = sigmoid(p) and q = g s (1 + p (1 - s)):  dbias = sum q_t;  dweight_k = sum q_t x_{t
// - taps + 1 + k}; dx_t = sum_k weight_k q_{t + taps - 1 - k}. Backwards in time, so that the q of the later tokens are
// there: `recent` holds those of `taps` tokens, row t % taps.
template <class T>
void convolve_backward(const Sequence<T>& s, const T* g, T* recent, T* dx, T* dweight, T* dbias) {
  simd::with_widest_registers([&]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    for (std::int64_t t = s.length - 1; t >= 0; --t) {
      const std::int64_t first_tap = t < s.taps - 1 ? s.taps - 1 - t : 0;
      T* own = recent + t % s.taps * s.channels;
      // Processors foresee rows that are read upwards, not downwards.
      const std::int64_t ahead = t < kRowsAhead ? 0 : t - kRowsAhead;
      const T *next_x = s.x + (ahead < s.taps ? 0 : ahead - s.taps) * s.x_stride, *next_g = g + ahead * s.channels;
      const T* later[kMostTaps];  // by tap, the q that it reads; those beyond the end are still zero
      for (std::int64_t k = 0; k < s.taps; ++k) later[k] = recent + (t + s.taps - 1 - k) % s.taps * s.channels;
      simd::for_each_register<R>(s.channels, [&](std::int64_t channel, auto access) MESTRE_INLINE_LAMBDA {
        __builtin_prefetch(next_x + channel);
        __builtin_prefetch(next_g + channel);
        const typename R::Value p = s.template convolved<R>(t, channel, access), sigmoid = R::sigmoid(p);
        const typename R::Value q = access.load(g + t * s.channels + channel) * sigmoid * (T(1) + p * (T(1) - sigmoid));
        access.store(own + channel, q);
        access.store(dbias + channel, access.load(dbias + channel) + q);
        for (std::int64_t k = first_tap; k < s.taps; ++k) {
          T* of_tap = dweight + k * s.channels + channel;
          access.store(of_tap,
                       access.load(of_tap) + q * access.load(s.x + (t - s.taps + 1 + k) * s.x_stride + channel));
        }
        typename R::Value sum = {};
        for (std::int64_t k = 0; k < s.taps; ++k)
          sum += access.load(s.weight + k * s.channels + channel) * access.load(later[k] + channel);
        access.store(dx + t * s.channels + channel, sum);
      });
    }
  });
}

// Any strides will do as long as channels lie side by side.
at::Tensor with_dense_channels(const at::Tensor& x) {
  return x.stride(2) == 1 ? x : x.contiguous();
}

template <class T>
Sequence<T> sequence_of(const at::Tensor& x, const at::Tensor& taps_first, const at::Tensor& bias, std::int64_t row) {
  return {.length = x.size(1),
          .channels = x.size(2),
          .taps = taps_first.size(0),
          .x = x.const_data_ptr<T>() + row * x.stride(0),
          .x_stride = x.stride(1),
          .weight = taps_first.const_data_ptr<T>(),
          .bias = bias.const_data_ptr<T>()};
}

class ShortConvolutionFunction : public torch::autograd::Function<ShortConvolutionFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias) {
    const at::Tensor x = with_dense_channels(input), taps_first = weight.t().contiguous();
    const at::Tensor y = at::empty(x.sizes(), x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "short_convolution", [&] {
      at::parallel_for(0, x.size(0), 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row)
          convolve<scalar_t>(sequence_of<scalar_t>(x, taps_first, bias, row),
                             y.mutable_data_ptr<scalar_t>() + row * y.stride(0));
      });
    });
    context->save_for_backward({x, taps_first, bias});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &taps_first = saved[1], &bias = saved[2];
    const at::Tensor g = gradients[0].contiguous(), dx = at::empty(x.sizes(), x.options());
    const std::int64_t batch = x.size(0), taps = taps_first.size(0), channels = x.size(2);
    // Of each sequence: the gradients of the taps, that of the bias, and the rows that the backward pass keeps at hand.
    const at::Tensor scratch = at::zeros({batch, 2 * taps + 1, channels}, x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "short_convolution_backward", [&] {
      at::parallel_for(0, batch, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row) {
          auto* dweight = scratch.mutable_data_ptr<scalar_t>() + row * scratch.stride(0);
          auto* dbias = dweight + taps * channels;
          convolve_backward<scalar_t>(sequence_of<scalar_t>(x, taps_first, bias, row),
                                      g.const_data_ptr<scalar_t>() + row * g.stride(0), dbias + channels,
                                      dx.mutable_data_ptr<scalar_t>() + row * dx.stride(0), dweight, dbias);
        }
      });
    });
    const at::Tensor sums = scratch.narrow(1, 0, taps + 1).sum(0);
    return {dx, sums.narrow(0, 0, taps).t(), sums.select(0, taps)};
  }
};

}  // namespace

ShortConvolution::ShortConvolution(std::int64_t channels, std::int64_t taps, bool has_bias) {
  if (taps > kMostTaps)
    throw Error(ErrorCode::kBadInput,
                fmt::format("a short convolution of {} taps, expected at most {}", taps, kMostTaps));
  weight = register_parameter("weight", at::empty({channels, taps}, at::kFloat));
  if (has_bias) bias = register_parameter("bias", at::empty({channels}, at::kFloat));
}

at::Tensor ShortConvolution::forward(const at::Tensor& x) const {
  const at::Tensor added = bias.defined() ? bias : at::zeros({weight.size(0)}, weight.options());
  return ShortConvolutionFunction::apply(x, weight, added);
}

void ShortConvolution::initialize(const Initializer& initializer) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(weight.size(1)));
  initializer.uniform("weight", weight, -bound, bound);
  if (bias.defined()) initializer.uniform("bias", bias, -bound, bound);
}

}  // namespace mestre
