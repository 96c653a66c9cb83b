// The gate of a SwiGLU layer (arXiv 2002.05202).
#pragma once

#include <ATen/core/Tensor.h>

namespace mestre {

/// gate_up [..., 2p], the halves a and b of each row, to SiLU(a) * b [..., p]. fp32 or fp64 on the CPU; one pass each
/// way, differentiable once.
[[nodiscard]] at::Tensor swiglu(const at::Tensor& gate_up);

}  // namespace mestre
