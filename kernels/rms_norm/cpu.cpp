#include "kernels/rms_norm/cpu.h"

#include "kernels/simd.h"

namespace mestre::kernels {
namespace {

constexpr std::int64_t kRowsTogether = 8;

template <class R, class T>
MESTRE_INLINE T inverse_root(typename R::Value squares, const NormInput<T>& in) {
  return T(1) / static_cast<T>(__builtin_sqrt(R::sum(squares) / static_cast<T>(in.width) + in.epsilon));
}

template <bool Residual, bool Gated, class T>
void forward_rows(std::int64_t first, std::int64_t last, const NormInput<T>& input, const NormOutput<T>& output) {
  simd::with_widest_registers([&]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    // Copies of its own, which no store of a register can change: their pointers stay where they are needed.
    const NormInput<T> in = input;
    const NormOutput<T> out = output;
    for (std::int64_t row = first; row < last; ++row) {
      const std::int64_t at = row * in.width;
      const T* x = in.x + at;
      typename R::Value squares = {};
      if constexpr (Residual) {
        T* sum = out.sum + at;
        simd::for_each_register<R>(in.width, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
          const typename R::Value value = access.load(x + i) + access.load(in.residual + at + i);
          access.store(sum + i, value);
          squares += value * value;
        });
        x = sum;
      } else {
        simd::for_each_register<R>(in.width, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
          const typename R::Value value = access.load(x + i);
          squares += value * value;
        });
      }
      const T r = inverse_root<R>(squares, in);
      simd::for_each_register<R>(in.width, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
        typename R::Value value = access.load(x + i) * r * access.load(in.weight + i);
        if constexpr (Gated) {
          const typename R::Value gate = access.load(in.gate + at + i);
          value *= gate * R::sigmoid(gate);
        }
        access.store(out.y + at + i, value);
      });
    }
  });
}

// With n = x r, s = sigmoid(gate) and g = dy SiLU(gate), or g = dy without a gate:
//   dw = sum over rows of g n;  dx = r (g w - n mean(g w n));  dgate = dy n w s (1 + gate (1 - s))
// The two means over the row, of x^2 and of g w x, are taken in one pass. A few rows have theirs taken before the first
// is put to use, so that roots and quotients of one run beside the sums of the next.
template <bool Summed, bool Gated, class T>
void backward_rows(std::int64_t first, std::int64_t last, const NormInput<T>& input,
                   const NormOutputGradient<T>& d_output, const NormInputGradient<T>& d_input) {
  simd::with_widest_registers([&]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    const NormInput<T> in = input;
    const NormOutputGradient<T> d = d_output;
    const NormInputGradient<T> gradient = d_input;
    T roots[kRowsTogether], means[kRowsTogether];
    for (std::int64_t start = first; start < last; start += kRowsTogether) {
      const std::int64_t end = start + kRowsTogether < last ? start + kRowsTogether : last;
      for (std::int64_t row = start; row < end; ++row) {
        const std::int64_t at = row * in.width;
        typename R::Value squares = {}, products = {};
        simd::for_each_register<R>(in.width, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
          const typename R::Value value = access.load(in.x + at + i);
          typename R::Value g = access.load(d.y + at + i);
          if constexpr (Gated) {
            const typename R::Value gate = access.load(in.gate + at + i);
            g *= gate * R::sigmoid(gate);
          }
          squares += value * value;
          products += g * access.load(in.weight + i) * value;
        });
        roots[row - start] = inverse_root<R>(squares, in);
        means[row - start] = roots[row - start] * R::sum(products) / static_cast<T>(in.width);
      }
      for (std::int64_t row = start; row < end; ++row) {
        const std::int64_t at = row * in.width;
        const T r = roots[row - start], mean = means[row - start];
        simd::for_each_register<R>(in.width, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
          const typename R::Value n = access.load(in.x + at + i) * r, w = access.load(in.weight + i);
          typename R::Value g = access.load(d.y + at + i);
          if constexpr (Gated) {
            const typename R::Value gate = access.load(in.gate + at + i), s = R::sigmoid(gate);
            access.store(gradient.gate + at + i, g * n * w * s * (T(1) + gate * (T(1) - s)));
            g *= gate * s;
          }
          access.store(gradient.weight + i, access.load(gradient.weight + i) + g * n);
          typename R::Value dx = r * (g * w - n * mean);
          if constexpr (Summed) dx += access.load(d.sum + at + i);
          access.store(gradient.x + at + i, dx);
        });
      }
    }
  });
}

}  // namespace

template <class T>
void norm_rows(std::int64_t first, std::int64_t last, const NormInput<T>& in, const NormOutput<T>& out) {
  if (in.residual != nullptr) {
    forward_rows<true, false>(first, last, in, out);
  } else if (in.gate != nullptr) {
    forward_rows<false, true>(first, last, in, out);
  } else {
    forward_rows<false, false>(first, last, in, out);
  }
}

template <class T>
void norm_rows_backward(std::int64_t first, std::int64_t last, const NormInput<T>& in, const NormOutputGradient<T>& d,
                        const NormInputGradient<T>& gradient) {
  if (d.sum != nullptr) {
    backward_rows<true, false>(first, last, in, d, gradient);
  } else if (in.gate != nullptr) {
    backward_rows<false, true>(first, last, in, d, gradient);
  } else {
    backward_rows<false, false>(first, last, in, d, gradient);
  }
}

template void norm_rows<float>(std::int64_t, std::int64_t, const NormInput<float>&, const NormOutput<float>&);
template void norm_rows<double>(std::int64_t, std::int64_t, const NormInput<double>&, const NormOutput<double>&);
template void norm_rows_backward<float>(std::int64_t, std::int64_t, const NormInput<float>&,
                                        const NormOutputGradient<float>&, const NormInputGradient<float>&);
template void norm_rows_backward<double>(std::int64_t, std::int64_t, const NormInput<double>&,
                                         const NormOutputGradient<double>&, const NormInputGradient<double>&);

}  // namespace mestre::kernels
