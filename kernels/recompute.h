// Compositions of Torch's own operations that keep nothing but their inputs for the backward pass.
//
// A device or type without a kernel of ours is served by such a composition: slower, but right, and no larger in memory
// than the tensors that the operation's schema names.
#pragma once

#include <functional>

#include <torch/csrc/autograd/variable.h>

namespace mestre::kernels {

using Composition = std::function<torch::autograd::variable_list(const torch::autograd::variable_list&)>;

/// Runs `compute` without recording it; backward runs it again on the same inputs under autograd and differentiates
/// that. `compute` must be pure, and deterministic for the gradients to belong to the outputs. Inputs may be undefined
/// (an argument left out) and get no gradient then; so do those of integral type. Differentiable once: throws
/// c10::Error in a backward pass that creates a graph. What `compute` captures by value lives until the graph is freed.
/// Autocast is off in both passes: the types are those that `compute` chooses.
[[nodiscard]] torch::autograd::variable_list recomputed(const Composition& compute,
                                                        const torch::autograd::variable_list& inputs);

}  // namespace mestre::kernels
