// Registers of numbers for the CPU loops of the operations, and the choice of the widest that the machine has.
//
// A loop is written once, as a lambda with the width of a register in bytes as a template argument;
// with_widest_registers calls it compiled for AVX-512, AVX2 or the compiler's plain target. It must be forced inline
// (MESTRE_INLINE_LAMBDA), and so must everything it calls: a function compiled out of line for one instruction set must
// not serve another, and nothing inline of the standard library may stand in it. Sources that use this are compiled
// with -ffp-contract=fast and -Wno-psabi. Results are the same bits on the same machine; another instruction set rounds
// differently.
#pragma once

#include <cstddef>
#include <cstdint>

#define MESTRE_INLINE [[gnu::always_inline]] inline
#define MESTRE_INLINE_LAMBDA __attribute__((always_inline))

namespace mestre::kernels::simd {

/// One register of `Bytes` bytes, and what can be done with it besides arithmetic.
template <class T, int Bytes>
struct Register {
  using Value [[gnu::vector_size(Bytes)]] = T;
  using Integers [[gnu::vector_size(Bytes)]] = std::int32_t;
  static constexpr std::int64_t kLanes = Bytes / static_cast<int>(sizeof(T));

  MESTRE_INLINE static Value load(const T* from) {
    Value value;
    __builtin_memcpy(&value, from, Bytes);
    return value;
  }
  MESTRE_INLINE static void store(T* to, Value value) { __builtin_memcpy(to, &value, Bytes); }

  /// `value` in every lane.
  MESTRE_INLINE static Value all(T value) { return Value{} + value; }

  /// Sum of the lanes, always in the same order: by halves, since a chain of additions would wait for each.
  MESTRE_INLINE static T sum(Value value) {
    for (std::int64_t half = kLanes / 2; half > 0; half /= 2)
      for (std::int64_t i = 0; i < half; ++i) value[i] += value[i + half];
    return value[0];
  }

  MESTRE_INLINE static Value larger(Value a, Value b) { return a > b ? a : b; }
  MESTRE_INLINE static T largest(Value value) {
    T most = value[0];
    for (std::int64_t i = 1; i < kLanes; ++i) most = value[i] > most ? value[i] : most;
    return most;
  }

  /// e^x. For floats by Cody and Waite's reduction and a polynomial, good to two units in the last place; clamped to
  /// what a normal number can hold.
  MESTRE_INLINE static Value exp(Value x) {
    if constexpr (sizeof(T) == sizeof(double)) {
      for (std::int64_t i = 0; i < kLanes; ++i) x[i] = __builtin_exp(x[i]);
      return x;
    } else {
      constexpr float kLog2E = 1.44269504F, kLn2High = 0.693359375F, kLn2Low = -2.12194440e-4F;
      constexpr float kRound = 12582912.0F;  // 1.5 x 2^23: adding it rounds to a whole number
      constexpr std::int32_t kRoundBits = 0x4B400000, kBias = 127, kMantissa = 23;
      x = x < -87.33F ? all(-87.33F) : x;
      x = x > 88.72F ? all(88.72F) : x;
      const Value shifted = x * kLog2E + kRound;
      const Value whole = shifted - kRound;
      const Value r = (x - whole * kLn2High) - whole * kLn2Low;
      Value p = r * 1.9875691500e-4F + 1.3981999507e-3F;
      p = p * r + 8.3334519073e-3F;
      p = p * r + 4.1665795894e-2F;
      p = p * r + 1.6666665459e-1F;
      p = p * r + 5.0000001201e-1F;
      p = p * (r * r) + r + 1.0F;
      // 2^whole through the bits of the exponent, in two halves: 2^128 alone would not be a number.
      const Integers exponent = reinterpret_cast<Integers>(shifted) - kRoundBits;
      const Integers half = exponent >> 1;
      return p * reinterpret_cast<Value>((half + kBias) << kMantissa) *
             reinterpret_cast<Value>((exponent - half + kBias) << kMantissa);
    }
  }

  /// 1 / (1 + e^-x).
  MESTRE_INLINE static Value sigmoid(Value x) { return T(1) / (T(1) + exp(-x)); }
};

/// How a body below reaches memory: a whole register, or its first lanes (the others read zero and are not written).
template <class R>
struct Whole {
  MESTRE_INLINE typename R::Value load(const auto* from) const { return R::load(from); }
  MESTRE_INLINE void store(auto* to, typename R::Value value) const { R::store(to, value); }
};
template <class R>
struct Part {
  std::int64_t count;
  MESTRE_INLINE typename R::Value load(const auto* from) const {
    typename R::Value value = {};
    for (std::int64_t i = 0; i < count; ++i) value[i] = from[i];
    return value;
  }
  MESTRE_INLINE void store(auto* to, typename R::Value value) const {
    for (std::int64_t i = 0; i < count; ++i) to[i] = value[i];
  }
};

/// Calls body(offset, access) for each register of a row of `count` numbers; the last may be a part.
template <class R, class Body>
MESTRE_INLINE void for_each_register(std::int64_t count, const Body& body) {
  std::int64_t at = 0;
  for (; at + R::kLanes <= count; at += R::kLanes) body(at, Whole<R>());
  if (at < count) body(at, Part<R>{count - at});
}

/// Bytes of the widest registers to use where the machine has them. Tests lower it, to try the narrower ones too.
inline int widest_allowed = 64;

#if defined(__x86_64__)

template <class Body>
[[gnu::target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]] void on_avx512(const Body& body) {
  body.template operator()<64>();
}
template <class Body>
[[gnu::target("avx2,fma")]] void on_avx2(const Body& body) {
  body.template operator()<32>();
}

/// Calls body.operator()<Bytes>(), compiled for this machine.
template <class Body>
void with_widest_registers(const Body& body) {
  static const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx512 && widest_allowed >= 64) {
    on_avx512(body);
  } else if (avx2 && widest_allowed >= 32) {
    on_avx2(body);
  } else {
    body.template operator()<16>();
  }
}

#else

template <class Body>
void with_widest_registers(const Body& body) {
  body.template operator()<16>();
}

#endif

}  // namespace mestre::kernels::simd
