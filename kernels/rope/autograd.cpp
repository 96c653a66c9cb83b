// Registers RoPE with Torch's dispatcher: schema, checks, CPU, Meta, composition, Autograd.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/operation.h"
#include "kernels/rope/cpu.h"
#include "kernels/rope/rope.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using torch::autograd::variable_list;

constexpr std::int64_t kTokensPerTask = 64;

void check(const Tensor& x, const Tensor& cosines, const Tensor& sines) {
  constexpr const char* kName = "rope";
  const Argument rows = {kName, "x", x};
  check_rank(rows, 4, "[B, L, H, D]");
  check_floating(rows);
  TORCH_CHECK(x.sym_size(3) % 2 == 0, kName, ": x: expected an even head size, got ", x.sym_size(3));
  for (const auto& [name, table] : {std::pair("cosines", &cosines), std::pair("sines", &sines)}) {
    const Argument argument = {kName, name, *table};
    check_shape(argument, {x.sym_size(1), x.sym_size(3) / 2}, "[L, D/2], L and D from x");
    check_goes_with(argument, rows);
  }
}

Tensor forward_cpu(const Tensor& x, const Tensor& cosines, const Tensor& sines) {
  check(x, cosines, sines);
  const Tensor in = rows_for(x, x), cos = rows_for(cosines, x).contiguous(), sin = rows_for(sines, x).contiguous();
  const Tensor out = room_like(in);
  const std::int64_t length = x.size(1), heads = x.size(2), size = x.size(3);
  AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "rope", [&] {
    run_tasks(x.size(0) * length, kTokensPerTask, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) {
        const std::int64_t t = i % length;
        rope_token<scalar_t>({.from = in.const_data_ptr<scalar_t>() + i / length * in.stride(0) + t * in.stride(1),
                              .from_head = in.stride(2),
                              .to = out.mutable_data_ptr<scalar_t>() + i * heads * size,
                              .heads = heads,
                              .size = size,
                              .cosines = cos.const_data_ptr<scalar_t>() + t * (size / 2),
                              .sines = sin.const_data_ptr<scalar_t>() + t * (size / 2)});
      }
    });
  });
  return out.to(x.scalar_type());
}

Tensor forward_meta(const Tensor& x, const Tensor& cosines, const Tensor& sines) {
  check(x, cosines, sines);
  return room_like(x);
}

class RopeFunction : public torch::autograd::Function<RopeFunction> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& cosines,
                        const Tensor& sines) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({cosines, sines});
    return rope(x, cosines, sines);
  }

  static variable_list backward(torch::autograd::AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {rope(gradients[0], saved[0], saved[1].neg()), Tensor(), Tensor()};
  }
};

Tensor forward_autograd(const Tensor& x, const Tensor& cosines, const Tensor& sines) {
  return RopeFunction::apply(x, cosines, sines);
}

}  // namespace

Tensor rope(const Tensor& x, const Tensor& cosines, const Tensor& sines) {
  static const auto operation = find_operation<Tensor(const Tensor&, const Tensor&, const Tensor&)>("mestre::rope");
  return operation.call(x, cosines, sines);
}

Tensor rope_composition(const Tensor& x, const Tensor& cosines, const Tensor& sines) {
  check(x, cosines, sines);
  const at::ScalarType type = arithmetic_type(x);
  const std::int64_t half = x.size(3) / 2;
  const Tensor cosine = cosines.to(type).unsqueeze(1), sine = sines.to(type).unsqueeze(1);
  const Tensor low = x.narrow(3, 0, half).to(type), high = x.narrow(3, half, half).to(type);
  return at::cat({low * cosine - high * sine, high * cosine + low * sine}, 3).to(x.scalar_type());
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  library.def("rope(Tensor x, Tensor cosines, Tensor sines) -> Tensor");
}

TORCH_LIBRARY_IMPL(mestre, CPU, library) {
  library.impl("rope", forward_cpu);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("rope", forward_meta);
}

TORCH_LIBRARY_IMPL(mestre, CompositeExplicitAutograd, library) {
  library.impl("rope", rope_composition);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("rope", forward_autograd);
}

}  // namespace mestre::kernels
