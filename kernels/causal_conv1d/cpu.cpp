// One pass each way, registers along the channels. Forward reads the W rows that a token sees; they are in the first
// cache level but for the newest. Backward runs backwards in time, so that the gradients of the later tokens' sums,
// which an input needs, are at hand in a ring of W rows.
#include "kernels/causal_conv1d/cpu.h"

#include "kernels/causal_conv1d/limits.h"
#include "kernels/simd.h"

namespace mestre::kernels {
namespace {

constexpr std::int64_t kRowsAhead = 3;      // that the backward pass fetches before it needs them
constexpr std::int64_t kTokensPerSum = 64;  // sums over tokens are taken in two levels, to lose fewer digits

/// The W inputs that token t sees, oldest first.
template <class T>
struct Seen {
  MESTRE_INLINE Seen(const ConvolutionInput<T>& in, std::int64_t t) {
    for (std::int64_t k = 0; k < in.taps; ++k) {
      const std::int64_t time = t - in.taps + 1 + k;
      rows[k] = time >= 0 ? in.x + time * in.x_stride : in.state + (time + in.taps - 1) * in.channels;
    }
  }
  const T* rows[kMostTaps];
};

/// bias + sum_k weight_k x_{t - W + 1 + k} for one register of channels.
template <class R, class T>
MESTRE_INLINE typename R::Value convolved(const ConvolutionInput<T>& in, const Seen<T>& seen, std::int64_t channel,
                                          auto access) {
  typename R::Value value = access.load(in.bias + channel);
  for (std::int64_t k = 0; k < in.taps; ++k)
    value += access.load(in.weight + k * in.channels + channel) * access.load(seen.rows[k] + channel);
  return value;
}

template <class T>
void copy(const T* from, std::int64_t count, T* to) {
  __builtin_memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}

/// Adds `sums` to `totals` and clears them.
template <class T>
void flush(T* sums, T* totals, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    totals[i] += sums[i];
    sums[i] = 0;
  }
}

// With p the value before SiLU, s = sigmoid(p) and q = dy s (1 + p (1 - s)), or q = dy without SiLU:
//   dbias = sum q_t;  dweight_k = sum q_t x_{t - W + 1 + k};  dx_t = sum_k weight_k q_{t + W - 1 - k}
// `recent` holds q of the W tokens from t on, row t % W; `sums` those of the last few tokens.
template <class T>
void backward_rows(const ConvolutionInput<T>& in, const T* dy, T* recent, T* sums, T* totals, T* dx) {
  simd::with_widest_registers([&]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    for (std::int64_t t = in.length - 1; t >= 0; --t) {
      const Seen<T> seen(in, t);
      T *own = recent + t % in.taps * in.channels, *dbias = sums + in.taps * in.channels;
      // Processors foresee rows that are read upwards, not downwards.
      const std::int64_t ahead = t < kRowsAhead ? 0 : t - kRowsAhead;
      const T *next_x = in.x + (ahead < in.taps ? 0 : ahead - in.taps) * in.x_stride,
              *next_dy = dy + ahead * in.channels;
      const T* later[kMostTaps];  // by tap, the q that it reads; those beyond the end are still zero
      for (std::int64_t k = 0; k < in.taps; ++k) later[k] = recent + (t + in.taps - 1 - k) % in.taps * in.channels;
      simd::for_each_register<R>(in.channels, [&](std::int64_t channel, auto access) MESTRE_INLINE_LAMBDA {
        __builtin_prefetch(next_x + channel);
        __builtin_prefetch(next_dy + channel);
        typename R::Value q = access.load(dy + t * in.channels + channel);
        if (in.silu) {
          const typename R::Value p = convolved<R>(in, seen, channel, access), s = R::sigmoid(p);
          q = q * s * (T(1) + p * (T(1) - s));
        }
        access.store(own + channel, q);
        access.store(dbias + channel, access.load(dbias + channel) + q);
        for (std::int64_t k = 0; k < in.taps; ++k) {
          T* of_tap = sums + k * in.channels + channel;
          access.store(of_tap, access.load(of_tap) + q * access.load(seen.rows[k] + channel));
        }
        typename R::Value sum = {};
        for (std::int64_t k = 0; k < in.taps; ++k)
          sum += access.load(in.weight + k * in.channels + channel) * access.load(later[k] + channel);
        access.store(dx + t * in.channels + channel, sum);
      });
      if (t % kTokensPerSum == 0) flush(sums, totals, (in.taps + 1) * in.channels);
    }
  });
}

/// dstate_j = sum_k weight_k q_{j - k}: the same sum as for dx, at times before the sequence.
template <class T>
void backward_state(const ConvolutionInput<T>& in, const T* recent, T* dstate) {
  for (std::int64_t j = 0; j + 1 < in.taps; ++j) {
    for (std::int64_t channel = 0; channel < in.channels; ++channel) {
      T sum = 0;
      for (std::int64_t k = 0; k <= j; ++k)
        sum += in.weight[k * in.channels + channel] * recent[(j - k) * in.channels + channel];
      dstate[j * in.channels + channel] = sum;
    }
  }
}

}  // namespace

template <class T>
void causal_conv1d_forward(const ConvolutionInput<T>& in, T* y, T* final_state) {
  simd::with_widest_registers([&]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    for (std::int64_t t = 0; t < in.length; ++t) {
      const Seen<T> seen(in, t);
      simd::for_each_register<R>(in.channels, [&](std::int64_t channel, auto access) MESTRE_INLINE_LAMBDA {
        const typename R::Value p = convolved<R>(in, seen, channel, access);
        access.store(y + t * in.channels + channel, in.silu ? p * R::sigmoid(p) : p);
      });
    }
  });
  const Seen<T> last(in, in.length - 1);
  for (std::int64_t k = 1; k < in.taps; ++k) copy(last.rows[k], in.channels, final_state + (k - 1) * in.channels);
}

template <class T>
void causal_conv1d_backward(const ConvolutionInput<T>& in, const T* dy, const T* d_final, T* scratch,
                            const ConvolutionGradient<T>& gradient) {
  T *recent = scratch, *sums = scratch + in.taps * in.channels;
  if (dy != nullptr) {
    backward_rows(in, dy, recent, sums, gradient.weight_and_bias, gradient.x);
  } else {
    __builtin_memset(gradient.x, 0, static_cast<std::size_t>(in.length * in.channels) * sizeof(T));
  }
  backward_state(in, recent, gradient.state);
  if (d_final == nullptr) return;
  for (std::int64_t j = 0; j + 1 < in.taps; ++j) {
    const std::int64_t time = in.length - in.taps + 1 + j;
    T* to = time >= 0 ? gradient.x + time * in.channels : gradient.state + (time + in.taps - 1) * in.channels;
    for (std::int64_t channel = 0; channel < in.channels; ++channel) to[channel] += d_final[j * in.channels + channel];
  }
}

template void causal_conv1d_forward<float>(const ConvolutionInput<float>&, float*, float*);
template void causal_conv1d_forward<double>(const ConvolutionInput<double>&, double*, double*);
template void causal_conv1d_backward<float>(const ConvolutionInput<float>&, const float*, const float*, float*,
                                            const ConvolutionGradient<float>&);
template void causal_conv1d_backward<double>(const ConvolutionInput<double>&, const double*, const double*, double*,
                                             const ConvolutionGradient<double>&);

}  // namespace mestre::kernels
