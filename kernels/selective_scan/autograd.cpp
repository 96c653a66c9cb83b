// Registers the selective scan with Torch's dispatcher: schemas, Meta, Autograd, the fused kernel for the CPU, and the
// composition for fp64 and other devices.
//
// Three operations: selective_scan, the public one; selective_scan_forward, which also returns the checkpoints;
// selective_scan_backward. The latter two have kernels of their own for every device, so that a tracer sees through the
// autograd function.
#include <initializer_list>
#include <string>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/operation.h"
#include "kernels/selective_scan/arguments.h"
#include "kernels/selective_scan/autograd_cpu.h"
#include "kernels/selective_scan/composition.h"
#include "kernels/selective_scan/selective_scan.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

using ForwardSignature = ScanResult(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                    const OptionalTensor&, const OptionalTensor&, const OptionalTensor&, bool,
                                    const OptionalTensor&, const OptionalTensor&);
using CheckpointedSignature = CheckpointedScanResult(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                                     const Tensor&, const OptionalTensor&, const OptionalTensor&,
                                                     const OptionalTensor&, bool, const OptionalTensor&,
                                                     const OptionalTensor&);
using BackwardSignature = ScanGradients(const Tensor&, const OptionalTensor&, const Tensor&, const Tensor&,
                                        const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                        const OptionalTensor&, const OptionalTensor&, const OptionalTensor&, bool,
                                        const OptionalTensor&, const OptionalTensor&);

/// fp32 and bf16 on the CPU; the composition serves all else.
bool fused_kernel_serves(const ScanArguments& a) {
  return a.u.is_cpu() && a.u.scalar_type() != at::kDouble;
}

ScanResult scan(const ScanArguments& a, const OptionalTensor& checkpoints) {
  return fused_kernel_serves(a) ? fused_scan(a, checkpoints) : compose_scan(a, checkpoints);
}

ScanResult selective_scan_on_device(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                    const Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                                    const OptionalTensor& delta_bias, bool delta_softplus,
                                    const OptionalTensor& initial_state, const OptionalTensor& reset) {
  const ScanArguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  check_arguments(a);
  return scan(a, {});
}

CheckpointedScanResult selective_scan_forward_on_device(const Tensor& u, const Tensor& delta, const Tensor& A,
                                                        const Tensor& B, const Tensor& C, const OptionalTensor& D,
                                                        const OptionalTensor& z, const OptionalTensor& delta_bias,
                                                        bool delta_softplus, const OptionalTensor& initial_state,
                                                        const OptionalTensor& reset) {
  const ScanArguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  check_arguments(a);
  const Tensor checkpoints = empty_checkpoints(a);
  const auto [y, final_state] = scan(a, checkpoints);
  return {y, final_state, checkpoints};
}

ScanGradients selective_scan_backward_on_device(const Tensor& d_y, const OptionalTensor& d_final_state,
                                                const Tensor& checkpoints, const Tensor& u, const Tensor& delta,
                                                const Tensor& A, const Tensor& B, const Tensor& C,
                                                const OptionalTensor& D, const OptionalTensor& z,
                                                const OptionalTensor& delta_bias, bool delta_softplus,
                                                const OptionalTensor& initial_state, const OptionalTensor& reset) {
  const ScanArguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  check_backward(a, d_y, d_final_state, checkpoints);
  return fused_kernel_serves(a) ? fused_scan_backward(a, d_y, d_final_state, checkpoints)
                                : compose_scan_backward(a, d_y, d_final_state, checkpoints);
}

ScanResult selective_scan_meta(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B, const Tensor& C,
                               const OptionalTensor& D, const OptionalTensor& z, const OptionalTensor& delta_bias,
                               bool delta_softplus, const OptionalTensor& initial_state, const OptionalTensor& reset) {
  const ScanArguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  check_arguments(a);
  return empty_outputs(a);
}

CheckpointedScanResult selective_scan_forward_meta(const Tensor& u, const Tensor& delta, const Tensor& A,
                                                   const Tensor& B, const Tensor& C, const OptionalTensor& D,
                                                   const OptionalTensor& z, const OptionalTensor& delta_bias,
                                                   bool delta_softplus, const OptionalTensor& initial_state,
                                                   const OptionalTensor& reset) {
  const ScanArguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  check_arguments(a);
  const auto [y, final_state] = empty_outputs(a);
  return {y, final_state, empty_checkpoints(a)};
}

ScanGradients selective_scan_backward_meta(const Tensor& d_y, const OptionalTensor& d_final_state,
                                           const Tensor& checkpoints, const Tensor& u, const Tensor& delta,
                                           const Tensor& A, const Tensor& B, const Tensor& C, const OptionalTensor& D,
                                           const OptionalTensor& z, const OptionalTensor& delta_bias,
                                           bool delta_softplus, const OptionalTensor& initial_state,
                                           const OptionalTensor& reset) {
  const ScanArguments a = {u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset};
  check_backward(a, d_y, d_final_state, checkpoints);
  return empty_gradients(a);
}

class SelectiveScan : public torch::autograd::Function<SelectiveScan> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const Tensor& u,
                                                const Tensor& delta, const Tensor& A, const Tensor& B, const Tensor& C,
                                                const OptionalTensor& D, const OptionalTensor& z,
                                                const OptionalTensor& delta_bias, bool delta_softplus,
                                                const OptionalTensor& initial_state, const OptionalTensor& reset) {
    static const auto operation = find_operation<CheckpointedSignature>("mestre::selective_scan_forward");
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    auto [y, final_state, checkpoints] =
        operation.call(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset);
    context->save_for_backward({checkpoints, u, delta, A, B, C, or_undefined(D), or_undefined(z),
                                or_undefined(delta_bias), or_undefined(initial_state), or_undefined(reset)});
    context->saved_data["delta_softplus"] = delta_softplus;
    context->set_materialize_grads(false);
    return {y, final_state};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& d_outputs) {
    static const auto operation = find_operation<BackwardSignature>("mestre::selective_scan_backward");
    const auto saved = context->get_saved_variables();
    const Tensor &checkpoints = saved[0], &u = saved[1];
    const Tensor d_y = d_outputs[0].defined() ? d_outputs[0] : at::zeros_like(u);
    auto [d_u, d_delta, d_A, d_B, d_C, d_D, d_z, d_bias, d_initial] =
        operation.call(d_y, if_defined(d_outputs[1]), checkpoints, u, saved[2], saved[3], saved[4], saved[5],
                       if_defined(saved[6]), if_defined(saved[7]), if_defined(saved[8]),
                       context->saved_data["delta_softplus"].toBool(), if_defined(saved[9]), if_defined(saved[10]));
    const auto given = [&](std::size_t index, const Tensor& d) { return saved[index].defined() ? d : Tensor(); };
    return {
        d_u,     d_delta, d_A, d_B, d_C, given(6, d_D), given(7, d_z), given(8, d_bias), Tensor(), given(9, d_initial),
        Tensor()};
  }
};

bool wants_gradient(std::initializer_list<const Tensor*> tensors,
                    std::initializer_list<const OptionalTensor*> optional_tensors) {
  if (!at::GradMode::is_enabled()) return false;
  bool wanted = false;
  for (const Tensor* tensor : tensors) wanted |= tensor->requires_grad();
  for (const OptionalTensor* tensor : optional_tensors) wanted |= *tensor && (*tensor)->requires_grad();
  return wanted;
}

ScanResult selective_scan_autograd(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                   const Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                                   const OptionalTensor& delta_bias, bool delta_softplus,
                                   const OptionalTensor& initial_state, const OptionalTensor& reset) {
  if (wants_gradient({&u, &delta, &A, &B, &C}, {&D, &z, &delta_bias, &initial_state})) {
    auto outputs = SelectiveScan::apply(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset);
    return {outputs[0], outputs[1]};
  }
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  return selective_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset);
}

const std::string kParameters =
    "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D=None, Tensor? z=None, Tensor? delta_bias=None, "
    "bool delta_softplus=False, Tensor? initial_state=None, Tensor? reset=None";

}  // namespace

std::tuple<Tensor, Tensor> selective_scan(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                          const Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                                          const OptionalTensor& delta_bias, bool delta_softplus,
                                          const OptionalTensor& initial_state, const OptionalTensor& reset) {
  static const auto operation = find_operation<ForwardSignature>("mestre::selective_scan");
  return operation.call(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset);
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  const auto define = [&](const std::string& schema) { library.def(schema.c_str()); };
  define("selective_scan(" + kParameters + ") -> (Tensor y, Tensor final_state)");
  define("selective_scan_forward(" + kParameters + ") -> (Tensor y, Tensor final_state, Tensor checkpoints)");
  define("selective_scan_backward(Tensor d_y, Tensor? d_final_state, Tensor checkpoints, " + kParameters +
         ") -> (Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor D, Tensor z, Tensor delta_bias, "
         "Tensor initial_state)");
}

TORCH_LIBRARY_IMPL(mestre, CompositeExplicitAutograd, library) {
  library.impl("selective_scan", selective_scan_on_device);
  library.impl("selective_scan_forward", selective_scan_forward_on_device);
  library.impl("selective_scan_backward", selective_scan_backward_on_device);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("selective_scan", selective_scan_meta);
  library.impl("selective_scan_forward", selective_scan_forward_meta);
  library.impl("selective_scan_backward", selective_scan_backward_meta);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("selective_scan", selective_scan_autograd);
  library.impl("selective_scan_forward", torch::autograd::autogradNotImplementedFallback());
  library.impl("selective_scan_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace mestre::kernels
