// Registers gated linear attention with Torch's dispatcher: schema, checks, Meta, Autograd, and the composition for
// every device.
#include "kernels/linear_attention/autograd.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include "kernels/gated_linear_attention/composition.h"
#include "kernels/gated_linear_attention/gated_linear_attention.h"
#include "kernels/linear_attention/arguments.h"
#include "kernels/operation.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

AttentionArguments checked(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& log_gate,
                           const OptionalTensor& initial_state, const OptionalTensor& reset) {
  AttentionArguments arguments("gated_linear_attention", q, k, v, initial_state, reset);
  const AttentionSizes& s = arguments.sizes();
  arguments.check_state("log_gate", log_gate, {s.batch, s.length, s.heads, s.key}, "[B, L, H, K], as q");
  return arguments;
}

AttentionOutputs on_any_device(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& log_gate, double scale,
                               const OptionalTensor& initial_state, const OptionalTensor& reset) {
  checked(q, k, v, log_gate, initial_state, reset);
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  return compose_gated_linear_attention(q, k, v, log_gate, scale, or_undefined(initial_state), or_undefined(reset));
}

AttentionOutputs meta(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& log_gate, double /*scale*/,
                      const OptionalTensor& initial_state, const OptionalTensor& reset) {
  return checked(q, k, v, log_gate, initial_state, reset).empty_outputs();
}

AttentionOutputs autograd(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& log_gate, double scale,
                          const OptionalTensor& initial_state, const OptionalTensor& reset) {
  const auto forward = [scale](const AttentionInputs& in) {
    return gated_linear_attention(in.q, in.k, in.v, in.decay, scale, if_defined(in.initial_state),
                                  if_defined(in.reset));
  };
  const auto composition = [scale](const AttentionInputs& in) {
    return compose_gated_linear_attention(in.q, in.k, in.v, in.decay, scale, in.initial_state, in.reset);
  };
  return differentiable({q, k, v, log_gate, or_undefined(initial_state), or_undefined(reset)}, forward, composition);
}

}  // namespace

AttentionOutputs gated_linear_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& log_gate,
                                        double scale, const OptionalTensor& initial_state,
                                        const OptionalTensor& reset) {
  static const auto operation =
      c10::Dispatcher::singleton().findSchemaOrThrow("mestre::gated_linear_attention", "").typed<AttentionSignature>();
  return operation.call(q, k, v, log_gate, scale, initial_state, reset);
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  library.def(
      "gated_linear_attention(Tensor q, Tensor k, Tensor v, Tensor log_gate, float scale, Tensor? initial_state=None, "
      "Tensor? reset=None) -> (Tensor o, Tensor final_state)");
}

TORCH_LIBRARY_IMPL(mestre, CompositeExplicitAutograd, library) {
  library.impl("gated_linear_attention", on_any_device);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("gated_linear_attention", meta);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("gated_linear_attention", autograd);
}

}  // namespace mestre::kernels
