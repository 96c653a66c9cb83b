#include "kernels/swiglu/cpu.h"

#include "kernels/simd.h"

namespace mestre::kernels {

template <class T>
void swiglu_rows(std::int64_t first, std::int64_t last, std::int64_t p, const T* gate_up, T* y) {
  simd::with_widest_registers([=]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    for (std::int64_t row = first; row < last; ++row) {
      const T *a = gate_up + row * 2 * p, *b = a + p;
      T* out = y + row * p;
      simd::for_each_register<R>(p, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
        const typename R::Value gate = access.load(a + i);
        access.store(out + i, gate * R::sigmoid(gate) * access.load(b + i));
      });
    }
  });
}

// With s = sigmoid(a):  da = dy b s (1 + a (1 - s));  db = dy a s.
template <class T>
void swiglu_rows_backward(std::int64_t first, std::int64_t last, std::int64_t p, const T* gate_up, const T* dy,
                          T* d_gate_up) {
  simd::with_widest_registers([=]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    for (std::int64_t row = first; row < last; ++row) {
      const T *a = gate_up + row * 2 * p, *b = a + p, *g = dy + row * p;
      T *da = d_gate_up + row * 2 * p, *db = da + p;
      simd::for_each_register<R>(p, [&](std::int64_t i, auto access) MESTRE_INLINE_LAMBDA {
        const typename R::Value gate = access.load(a + i), s = R::sigmoid(gate), gs = access.load(g + i) * s;
        access.store(da + i, gs * access.load(b + i) * (T(1) + gate * (T(1) - s)));
        access.store(db + i, gs * gate);
      });
    }
  });
}

template void swiglu_rows<float>(std::int64_t, std::int64_t, std::int64_t, const float*, float*);
template void swiglu_rows<double>(std::int64_t, std::int64_t, std::int64_t, const double*, double*);
template void swiglu_rows_backward<float>(std::int64_t, std::int64_t, std::int64_t, const float*, const float*, float*);
template void swiglu_rows_backward<double>(std::int64_t, std::int64_t, std::int64_t, const double*, const double*,
                                           double*);

}  // namespace mestre::kernels
