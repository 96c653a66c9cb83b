// The fused kernel of the CPU (cpu.h) on Torch tensors.
#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

#include "kernels/selective_scan/arguments.h"

namespace mestre::kernels {

/// Arguments checked before, not fp64. Writes the states for fused_scan_backward to `checkpoints` where it is given.
ScanResult fused_scan(const ScanArguments& arguments, const std::optional<at::Tensor>& checkpoints);

/// The gradients, from the checkpoints of fused_scan; absent inputs have empty ones.
ScanGradients fused_scan_backward(const ScanArguments& arguments, const at::Tensor& d_y,
                                  const std::optional<at::Tensor>& d_final_state, const at::Tensor& checkpoints);

}  // namespace mestre::kernels
