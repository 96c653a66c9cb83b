// Registers SwiGLU's gate with Torch's dispatcher: schemas, checks, CPU, Meta, composition, Autograd.
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/operation.h"
#include "kernels/recompute.h"
#include "kernels/swiglu/cpu.h"
#include "kernels/swiglu/swiglu.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using torch::autograd::variable_list;

constexpr std::int64_t kRowsPerTask = 64;

void check(const Tensor& gate_up) {
  const Argument argument = {"swiglu", "gate_up", gate_up};
  check_floating(argument);
  TORCH_CHECK(gate_up.dim() > 0 && gate_up.sym_numel() > 0 && gate_up.sym_size(-1) % 2 == 0,
              "swiglu: gate_up: expected [..., 2P], got ", gate_up.sym_sizes());
}

Tensor empty_result(const Tensor& gate_up) {
  Shape sizes = gate_up.sym_sizes().vec();
  sizes.back() = sizes.back() / 2;
  return at::empty_symint(sizes, gate_up.options());
}

Tensor forward_cpu(const Tensor& gate_up) {
  check(gate_up);
  const Tensor in = rows_for(gate_up, gate_up).contiguous(), out = empty_result(in);
  const std::int64_t p = out.size(-1), rows = out.numel() / p;
  AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "swiglu", [&] {
    run_tasks(rows, kRowsPerTask, [&](std::int64_t first, std::int64_t last) {
      swiglu_rows(first, last, p, in.const_data_ptr<scalar_t>(), out.mutable_data_ptr<scalar_t>());
    });
  });
  return out.to(gate_up.scalar_type());
}

Tensor backward_cpu(const Tensor& d_y, const Tensor& gate_up) {
  check(gate_up);
  const Tensor in = rows_for(gate_up, gate_up).contiguous(), gradient = rows_for(d_y, gate_up).contiguous();
  const Tensor out = room_like(in);
  const std::int64_t p = in.size(-1) / 2, rows = in.numel() / (2 * p);
  AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "swiglu_backward", [&] {
    run_tasks(rows, kRowsPerTask, [&](std::int64_t first, std::int64_t last) {
      swiglu_rows_backward(first, last, p, in.const_data_ptr<scalar_t>(), gradient.const_data_ptr<scalar_t>(),
                           out.mutable_data_ptr<scalar_t>());
    });
  });
  return out.to(gate_up.scalar_type());
}

Tensor forward_meta(const Tensor& gate_up) {
  check(gate_up);
  return empty_result(gate_up);
}

Tensor backward_meta(const Tensor& /*d_y*/, const Tensor& gate_up) {
  check(gate_up);
  return room_like(gate_up);
}

class Swiglu : public torch::autograd::Function<Swiglu> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& gate_up) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({gate_up});
    return swiglu(gate_up);
  }

  static variable_list backward(torch::autograd::AutogradContext* context, const variable_list& gradients) {
    static const auto operation = find_operation<Tensor(const Tensor&, const Tensor&)>("mestre::swiglu_backward");
    return {operation.call(gradients[0], context->get_saved_variables()[0])};
  }
};

Tensor forward_autograd(const Tensor& gate_up) {
  if (has_kernels(gate_up)) return Swiglu::apply(gate_up);
  return recomputed([](const variable_list& in) -> variable_list { return {swiglu_composition(in[0])}; }, {gate_up})[0];
}

}  // namespace

Tensor swiglu(const Tensor& gate_up) {
  static const auto operation = find_operation<Tensor(const Tensor&)>("mestre::swiglu");
  return operation.call(gate_up);
}

Tensor swiglu_composition(const Tensor& gate_up) {
  check(gate_up);
  const std::vector<Tensor> halves = gate_up.to(arithmetic_type(gate_up)).chunk(2, -1);
  return (at::silu(halves[0]) * halves[1]).to(gate_up.scalar_type());
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  library.def("swiglu(Tensor gate_up) -> Tensor");
  library.def("swiglu_backward(Tensor d_y, Tensor gate_up) -> Tensor");
}

TORCH_LIBRARY_IMPL(mestre, CPU, library) {
  library.impl("swiglu", forward_cpu);
  library.impl("swiglu_backward", backward_cpu);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("swiglu", forward_meta);
  library.impl("swiglu_backward", backward_meta);
}

TORCH_LIBRARY_IMPL(mestre, CompositeExplicitAutograd, library) {
  library.impl("swiglu", swiglu_composition);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("swiglu", forward_autograd);
  library.impl("swiglu_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace mestre::kernels
