// Registers retention with Torch's dispatcher: schema, checks, Meta, Autograd, and the composition for
// every device.
#include "kernels/linear_attention/autograd.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include "kernels/linear_attention/arguments.h"
#include "kernels/operation.h"
#include "kernels/retention/composition.h"
#include "kernels/retention/retention.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

AttentionArguments checked(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& log_decay,
                           const OptionalTensor& initial_state, const OptionalTensor& reset) {
  AttentionArguments arguments("retention", q, k, v, initial_state, reset);
  const AttentionSizes& s = arguments.sizes();
  arguments.check_state("log_decay", log_decay, {s.heads}, "[H], H from q");
  return arguments;
}

AttentionOutputs on_any_device(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& log_decay, double scale,
                               const OptionalTensor& initial_state, const OptionalTensor& reset) {
  checked(q, k, v, log_decay, initial_state, reset);
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  return compose_retention(q, k, v, log_decay, scale, or_undefined(initial_state), or_undefined(reset));
}

AttentionOutputs meta(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& log_decay, double /*scale*/,
                      const OptionalTensor& initial_state, const OptionalTensor& reset) {
  return checked(q, k, v, log_decay, initial_state, reset).empty_outputs();
}

AttentionOutputs autograd(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& log_decay, double scale,
                          const OptionalTensor& initial_state, const OptionalTensor& reset) {
  const auto forward = [scale](const AttentionInputs& in) {
    return retention(in.q, in.k, in.v, in.decay, scale, if_defined(in.initial_state), if_defined(in.reset));
  };
  const auto composition = [scale](const AttentionInputs& in) {
    return compose_retention(in.q, in.k, in.v, in.decay, scale, in.initial_state, in.reset);
  };
  return differentiable({q, k, v, log_decay, or_undefined(initial_state), or_undefined(reset)}, forward, composition);
}

}  // namespace

AttentionOutputs retention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& log_decay, double scale,
                           const OptionalTensor& initial_state, const OptionalTensor& reset) {
  static const auto operation =
      c10::Dispatcher::singleton().findSchemaOrThrow("mestre::retention", "").typed<AttentionSignature>();
  return operation.call(q, k, v, log_decay, scale, initial_state, reset);
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  library.def(
      "retention(Tensor q, Tensor k, Tensor v, Tensor log_decay, float scale, Tensor? initial_state=None, "
      "Tensor? reset=None) -> (Tensor o, Tensor final_state)");
}

TORCH_LIBRARY_IMPL(mestre, CompositeExplicitAutograd, library) {
  library.impl("retention", on_any_device);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("retention", meta);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("retention", autograd);
}

}  // namespace mestre::kernels
