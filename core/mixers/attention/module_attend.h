// Softmax attention itself, as a differentiable function.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace mestre {

struct AttendOptions {
  std::int64_t heads = 0;   // h, of queries
  std::int64_t groups = 0;  // g, of keys and values; a divisor of h; query head j reads floor(j g / h)
  std::int64_t window = 0;  // keys that a query sees, itself included; 0: all up to itself
  /// [length or more, p/2] in the type of qkv. Where they are defined, queries and keys are rotated first: element j of
  /// a head together with element j + p/2, by the angle of its position.
  at::Tensor cosines, sines;
};

/// qkv [batch, length, (h + 2g) p]: the query heads, the key heads, the value heads, each of p elements; to
/// [batch, length, h p]. Softmax scale p^-1/2. fp32 or fp64 on the CPU. Differentiable once, in qkv; deterministic.
/// Cost is linear in length where there is a window.
[[nodiscard]] at::Tensor attend(const at::Tensor& qkv, const AttendOptions& options);

}  // namespace mestre
