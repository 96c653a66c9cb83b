// One SIMD register of floats, and the few functions of it that the scan needs.
//
// The width follows the instruction set that the including file is compiled for: 16 lanes with AVX-512, 8 with AVX,
// else 4. Everything here is in an anonymous namespace on purpose: a file compiled for AVX-512 must not lend the linker
// an inline function that another file, meant for any x86-64, would then call. For the same reason such files use
// nothing inline of the standard library.
#pragma once

#include <cstdint>
#include <utility>

namespace mestre::kernels {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

using Lanes [[gnu::vector_size(kLanes * 4)]] = float;
using IntLanes [[gnu::vector_size(kLanes * 4)]] = std::int32_t;
using UintLanes [[gnu::vector_size(kLanes * 4)]] = std::uint32_t;
using HalfLanes [[gnu::vector_size(kLanes * 2)]] = std::uint16_t;

#define MESTRE_INLINE [[gnu::always_inline]] inline

/// `value` in every lane.
MESTRE_INLINE Lanes all(float value) {
  return Lanes{} + value;
}

MESTRE_INLINE Lanes bits_to_float(IntLanes bits) {
  return reinterpret_cast<Lanes>(bits);
}
MESTRE_INLINE IntLanes float_to_bits(Lanes value) {
  return reinterpret_cast<IntLanes>(value);
}

/// Loads kLanes floats from any address.
MESTRE_INLINE Lanes load(const float* from) {
  Lanes value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

MESTRE_INLINE void store(float* to, Lanes value) {
  __builtin_memcpy(to, &value, sizeof value);
}

/// Loads kLanes bf16 numbers; exact.
MESTRE_INLINE Lanes load_bfloat16(const std::uint16_t* from) {
  HalfLanes half;
  __builtin_memcpy(&half, from, sizeof half);
  return reinterpret_cast<Lanes>(__builtin_convertvector(half, UintLanes) << 16);
}

/// Rounds to bf16, ties to even; NaN stays NaN.
MESTRE_INLINE void store_bfloat16(std::uint16_t* to, Lanes value) {
  const auto bits = reinterpret_cast<UintLanes>(value);
  const UintLanes rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const UintLanes kept = value == value ? rounded : (UintLanes{} + 0x7fc0u);
  const auto half = __builtin_convertvector(kept, HalfLanes);
  __builtin_memcpy(to, &half, sizeof half);
}

// 2^t is split as 2^n 2^f with n whole and |f| <= 1/2. Adding kShift leaves n + 127 in the low bits of the sum, so that
// a shift by 23 makes the float 2^n of it; 2^f - 1 is f times a polynomial of degree 5 (minimax for the relative error
// of 2^f, 2e-9), exactly 0 at f = 0, so that a decay of nearly one keeps its distance from one.
//
// What limits the speed is how many exponentials the processor keeps under way at once, so the chain of dependent
// operations is kept short: the polynomial by Estrin's scheme (one multiplication more than Horner's, three steps
// instead of five), and 2^n taken in before its end.
constexpr float kShift = 12582912.0f + 127.0f;  // 1.5 * 2^23 + 127

/// 2^(n + f), where `shifted` is n + kShift: 0 for n below -126; n above 127 counts as 127.
MESTRE_INLINE Lanes assemble_power(Lanes shifted, Lanes f) {
  const IntLanes smallest = IntLanes{} + 0x4b400000, largest = smallest + 254;
  IntLanes bits = float_to_bits(shifted);
  bits = bits > smallest ? bits : smallest;
  bits = bits < largest ? bits : largest;
  const Lanes power = bits_to_float(bits << 23), square = f * f;
  const Lanes low = f * 2.4022648e-1f + 6.931472e-1f;
  const Lanes middle = f * 9.618437e-3f + 5.5503324e-2f;
  const Lanes high = f * 1.5353363e-4f + 1.3398875e-3f;
  return (power * f) * ((high * square + middle) * square + low) + power;
}

/// 2^(x y). The product is never rounded where the machine has a fused multiply-add; about 1 ulp then.
MESTRE_INLINE Lanes exp2_of_product(Lanes x, Lanes y) {
  const Lanes shifted = x * y + kShift;
  return assemble_power(shifted, x * y - (shifted - kShift));
}

MESTRE_INLINE Lanes exponential(Lanes x) {
  constexpr float kLog2e = 1.44269504f, kLog2eRest = 1.92596303e-8f;  // log2(e) in two parts
  const Lanes shifted = x * kLog2e + kShift;
  return assemble_power(shifted, x * kLog2eRest + (x * kLog2e - (shifted - kShift)));
}

MESTRE_INLINE Lanes sigmoid(Lanes x) {
  return 1.0f / (1.0f + exponential(-x));
}

struct ValueAndSlope {
  Lanes value, slope;
};

/// log(1 + e^x), and its derivative. The value is max(x, 0) + log(1 + w) with w = e^-|x|, and the logarithm is 2
/// atanh(w / (2 + w)), which cancels nothing where w is small. One division serves both w / (2 + w) and the derivative,
/// 1 or w over 1 + w.
MESTRE_INLINE ValueAndSlope softplus(Lanes x) {
  const Lanes w = exponential(x > 0.0f ? -x : x);
  const Lanes inverse = 1.0f / ((w + 1.0f) * (w + 2.0f));
  const Lanes s = w * ((w + 1.0f) * inverse), square = s * s;
  const Lanes low = square * 0.19999444f + 0.33333337f, high = square * 0.10715355f + 0.14308299f;
  const Lanes p = ((square * square) * 0.12144841f + high) * (square * square) + low;
  const Lanes logarithm = 2.0f * (s + s * square * p);
  return {(0.0f > x ? all(0.0f) : x) + logarithm, (x > 0.0f ? all(1.0f) : w) * ((w + 2.0f) * inverse)};
}

/// x sigmoid(x), and its derivative.
MESTRE_INLINE ValueAndSlope silu(Lanes x) {
  const Lanes s = sigmoid(x);
  return {x * s, s * (1.0f + x * (1.0f - s))};
}

template <int kHalf, int... kLane>
MESTRE_INLINE Lanes fold_pair(Lanes a, Lanes b, std::integer_sequence<int, kLane...>) {
  const Lanes kept = __builtin_shufflevector(a, b, ((kLane & kHalf) ? kLane + kLanes : kLane)...);
  const Lanes moved = __builtin_shufflevector(a, b, ((kLane & kHalf) ? kLane - kHalf + kLanes : kLane + kHalf)...);
  return kept + moved;
}

/// Sums each of kLanes registers over its lanes: lane i of the result is the sum of x[i]. Destroys x. The order of
/// additions is fixed. Each step folds registers i and i + half into one, whose lanes with the bit `half` belong to the
/// second: kLanes - 1 folds in all.
template <int kHalf = kLanes / 2>
MESTRE_INLINE Lanes sum_lanes(Lanes* x) {
  for (int i = 0; i < kHalf; ++i) {
    x[i] = fold_pair<kHalf>(x[i], x[i + kHalf], std::make_integer_sequence<int, kLanes>{});
  }
  if constexpr (kHalf > 1) {
    return sum_lanes<kHalf / 2>(x);
  } else {
    return x[0];
  }
}

}  // namespace
}  // namespace mestre::kernels
