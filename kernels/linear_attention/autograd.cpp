#include "kernels/linear_attention/autograd.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>

#include "kernels/recompute.h"

namespace mestre::kernels {

using torch::autograd::variable_list;

AttentionOutputs differentiable(const AttentionInputs& inputs,
                                const std::function<AttentionOutputs(const AttentionInputs&)>& forward,
                                const std::function<AttentionOutputs(const AttentionInputs&)>& composition) {
  const auto compute = [forward, composition](const variable_list& in) -> variable_list {
    const AttentionInputs given = {in[0], in[1], in[2], in[3], in[4], in[5]};
    if (at::GradMode::is_enabled()) {  // in the backward pass
      const auto [o, final_state] = composition(given);
      return {o, final_state};
    }
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    const auto [o, final_state] = forward(given);
    return {o, final_state};
  };
  const variable_list outputs =
      recomputed(compute, {inputs.q, inputs.k, inputs.v, inputs.decay, inputs.initial_state, inputs.reset});
  return {outputs[0], outputs[1]};
}

}  // namespace mestre::kernels
