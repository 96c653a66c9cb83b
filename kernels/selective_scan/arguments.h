// The arguments of the selective scan as Torch tensors: checks, and room for what is returned.
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include <ATen/core/Tensor.h>

namespace mestre::kernels {

/// The arguments of all three operations, in the order of their schemas; the tensors outlive it.
struct ScanArguments {
  const at::Tensor &u, &delta, &A, &B, &C;
  const std::optional<at::Tensor>&D, &z, &delta_bias;
  bool delta_softplus;
  const std::optional<at::Tensor>&initial_state, &reset;
};

using ScanResult = std::tuple<at::Tensor, at::Tensor>;                          // y, final_state
using CheckpointedScanResult = std::tuple<at::Tensor, at::Tensor, at::Tensor>;  // y, final_state, checkpoints
using ScanGradients = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor,
                                 at::Tensor, at::Tensor>;  // of u, delta, A, B, C, D, z, delta_bias, initial_state

/// Both throw c10::Error naming the operation, the argument, what was expected and what it got. All else takes
/// arguments that were checked.
void check_arguments(const ScanArguments& arguments);
void check_backward(const ScanArguments& arguments, const at::Tensor& d_y,
                    const std::optional<at::Tensor>& d_final_state, const at::Tensor& checkpoints);

ScanResult empty_outputs(const ScanArguments& arguments);

/// Room for the states that selective_scan_forward returns beside y, one before each kCheckpointTokens tokens:
/// [B, chunks, E rounded up, N rounded up], as the fused kernel keeps them.
at::Tensor empty_checkpoints(const ScanArguments& arguments);

/// Room for the gradient of each input, contiguous; an absent input has an empty tensor, since a schema can't return
/// none.
ScanGradients empty_gradients(const ScanArguments& arguments);

}  // namespace mestre::kernels
