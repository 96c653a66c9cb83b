// The gate of a SwiGLU layer (arXiv 2002.05202), as a Torch operation: with a and b the halves of a row,
// y = SiLU(a) * b. Also torch.ops.mestre.swiglu.
#pragma once

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// gate_up [..., 2P], fp32, fp64 or bf16 (arithmetic is then fp32), to [..., P] in its type, contiguous. Rows that do
/// not lie side by side are copied first. Differentiable once; saves its input alone. Deterministic. Throws c10::Error
/// naming the argument, what was expected and what it got.
at::Tensor swiglu(const at::Tensor& gate_up);

/// The same in ATen's operations, which keep more for backward: what a device without a kernel of ours runs, and the
/// bench's peer.
at::Tensor swiglu_composition(const at::Tensor& gate_up);

}  // namespace mestre::kernels
