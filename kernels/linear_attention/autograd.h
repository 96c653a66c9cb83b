// How gated linear attention and retention meet Torch's dispatcher: what their registrations share.
#pragma once

#include <functional>
#include <optional>
#include <tuple>

#include <ATen/core/Tensor.h>

#include "kernels/operation.h"

namespace mestre::kernels {

using AttentionOutputs = std::tuple<at::Tensor, at::Tensor>;

/// Of both operations: q, k, v, the decay, scale, initial_state, reset.
using AttentionSignature = AttentionOutputs(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                            double, const std::optional<at::Tensor>&, const std::optional<at::Tensor>&);

/// One call, its optional arguments undefined where left out.
struct AttentionInputs {
  at::Tensor q, k, v, decay;
  at::Tensor initial_state, reset;
};

/// The outputs of `forward`, which is called below autograd: for a tracer it is the operation itself. Backward runs
/// `composition` on the same inputs and differentiates it.
AttentionOutputs differentiable(const AttentionInputs& inputs,
                                const std::function<AttentionOutputs(const AttentionInputs&)>& forward,
                                const std::function<AttentionOutputs(const AttentionInputs&)>& composition);

}  // namespace mestre::kernels
