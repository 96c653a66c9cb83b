#include "kernels/recompute.h"

#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace mestre::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A composition travels through saved_data, which holds values known to the dispatcher and boxed objects.
struct BoxedComposition : torch::CustomClassHolder {
  explicit BoxedComposition(Composition c) : compute(std::move(c)) {}
  Composition compute;
};

class RecomputedFunction : public torch::autograd::Function<RecomputedFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Composition& compute, at::TensorList inputs) {
    context->save_for_backward(inputs.vec());
    context->saved_data["compute"] = at::IValue::make_capsule(c10::make_intrusive<BoxedComposition>(compute));
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    return compute(inputs.vec());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    // What is returned has no graph; a second derivative would come out as zero.
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "this operation can be differentiated once; got a backward pass with create_graph");
    const auto boxed = c10::static_intrusive_pointer_cast<BoxedComposition>(context->saved_data["compute"].toCapsule());
    variable_list inputs, wanted;
    for (const at::Tensor& saved : context->get_saved_variables()) {
      at::Tensor input = saved.detach();
      if (saved.requires_grad()) wanted.push_back(input.requires_grad_());
      inputs.push_back(input);
    }
    variable_list found;
    {
      const at::AutoGradMode recording(true);
      const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
      variable_list outputs, given;
      const variable_list computed = boxed->compute(inputs);
      for (std::size_t i = 0; i < computed.size(); ++i) {
        if (!gradients[i].defined() || !computed[i].requires_grad()) continue;
        outputs.push_back(computed[i]);
        given.push_back(gradients[i]);
      }
      found = torch::autograd::grad(outputs, wanted, given, false, false, true);
    }
    variable_list result = {at::Tensor()};
    std::size_t next = 0;
    for (const at::Tensor& input : inputs) result.push_back(input.requires_grad() ? found[next++] : at::Tensor());
    return result;
  }
};

}  // namespace

// Torch's function has no place for undefined tensors in a list.
variable_list recomputed(const Composition& compute, const variable_list& inputs) {
  variable_list given;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) continue;
    given.push_back(inputs[i]);
    places.push_back(i);
  }
  const auto in_places = [compute, places = std::move(places), size = inputs.size()](const variable_list& tensors) {
    variable_list all(size);
    for (std::size_t i = 0; i < places.size(); ++i) all[places[i]] = tensors[i];
    return compute(all);
  };
  return RecomputedFunction::apply(Composition(in_places), at::TensorList(given));
}

}  // namespace mestre::kernels
