// The selective scan from Torch's own operations, for types and devices without a fused kernel. Right, not fast.
#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

#include "kernels/selective_scan/arguments.h"

namespace mestre::kernels {

/// Arguments checked before. Arithmetic is in the type of A. Writes the state before each chunk to `checkpoints`
/// (arguments.h) where it is given. Needs about 8 tensors of [B, kCheckpointTokens, E, N] at a time.
ScanResult compose_scan(const ScanArguments& arguments, const std::optional<at::Tensor>& checkpoints);

/// The gradients, from the checkpoints of compose_scan; absent inputs have empty ones. Needs about 15 tensors of
/// [B, kCheckpointTokens, E, N] at a time.
ScanGradients compose_scan_backward(const ScanArguments& arguments, const at::Tensor& d_y,
                                    const std::optional<at::Tensor>& d_final_state, const at::Tensor& checkpoints);

}  // namespace mestre::kernels
