// Rotary positions (arXiv 2104.09864), half-split pairing, as a Torch operation: element j of a head is turned together
// with element j + D/2 by the angle of its position,
//
//   y_j = x_j cos_tj - x_{j+D/2} sin_tj,   y_{j+D/2} = x_{j+D/2} cos_tj + x_j sin_tj
//
// Also torch.ops.mestre.rope.
#pragma once

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// x [B, L, H, D], D even, of any strides (read in place where the last dimension is contiguous); cosines, sines
/// [L, D/2] of the angles; all fp32, fp64 or bf16. fp64 goes with fp64; fp32 and bf16 mix, arithmetic is then fp32.
///
/// Returns the same shape in the type of x, contiguous. Differentiable in x: backward turns by the opposite angles.
/// Saves cosines and sines alone. Deterministic. Throws c10::Error naming the argument, what was expected and what it
/// got.
at::Tensor rope(const at::Tensor& x, const at::Tensor& cosines, const at::Tensor& sines);

/// The same in ATen's operations: what a device without a kernel of ours runs, and the bench's peer.
at::Tensor rope_composition(const at::Tensor& x, const at::Tensor& cosines, const at::Tensor& sines);

}  // namespace mestre::kernels
