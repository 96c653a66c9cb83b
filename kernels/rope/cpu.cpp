#include "kernels/rope/cpu.h"

#include "kernels/simd.h"

namespace mestre::kernels {

template <class T>
void rope_token(const RopeToken<T>& token) {
  simd::with_widest_registers([&]<int Bytes>() MESTRE_INLINE_LAMBDA {
    using R = simd::Register<T, Bytes>;
    const std::int64_t half = token.size / 2;
    for (std::int64_t head = 0; head < token.heads; ++head) {
      const T *low = token.from + head * token.from_head, *high = low + half;
      T* to = token.to + head * token.size;
      simd::for_each_register<R>(half, [&](std::int64_t j, auto access) MESTRE_INLINE_LAMBDA {
        const typename R::Value cosine = access.load(token.cosines + j), sine = access.load(token.sines + j);
        const typename R::Value x = access.load(low + j), y = access.load(high + j);
        access.store(to + j, x * cosine - y * sine);
        access.store(to + half + j, y * cosine + x * sine);
      });
    }
  });
}

template void rope_token<float>(const RopeToken<float>&);
template void rope_token<double>(const RopeToken<double>&);

}  // namespace mestre::kernels
