// Softmax attention itself, on heads that are ready.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace mestre {

/// q [batch, h, length, p], k and v [batch, g, length, p], g a divisor of h, to [batch, h, length, p]; softmax scale
/// p^-1/2. A query at t sees the keys max(0, t - window + 1) .. t; all up to t where window is 0. Cost is linear in
/// length where a window is given. Differentiable once; deterministic.
[[nodiscard]] at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t window);

}  // namespace mestre
