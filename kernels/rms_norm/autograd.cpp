// Registers the norms with Torch's dispatcher: schemas, checks, CPU, Meta, compositions, Autograd. One backward
// operation serves all three.
#include <algorithm>
#include <optional>
#include <tuple>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/operation.h"
#include "kernels/recompute.h"
#include "kernels/rms_norm/cpu.h"
#include "kernels/rms_norm/rms_norm.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using PairOfTensors = std::tuple<Tensor, Tensor>;
using BackwardResult = std::tuple<Tensor, Tensor, Tensor>;
using NormSignature = Tensor(const Tensor&, const Tensor&, double);
using ThreeTensorSignature = Tensor(const Tensor&, const Tensor&, const Tensor&, double);
using AddSignature = PairOfTensors(const Tensor&, const Tensor&, const Tensor&, double);
using BackwardSignature = BackwardResult(const Tensor&, const OptionalTensor&, const Tensor&, const Tensor&,
                                         const OptionalTensor&, double);

// Also of a partial sum of the weight's gradient, whatever the number of threads: sums of few terms lose few digits.
constexpr std::int64_t kRowsPerTask = 32;

void check(const char* operation, const Tensor& x, const Tensor& weight) {
  const Argument rows = {operation, "x", x}, scale = {operation, "weight", weight};
  TORCH_CHECK(x.dim() > 0 && x.sym_numel() > 0, operation, ": x: expected [..., D] of positive sizes, got ",
              x.sym_sizes());
  check_floating(rows);
  check_shape(scale, {x.sym_size(-1)}, "[D], D from x");
  check_goes_with(scale, rows);
}

/// Of a residual or a gate.
void check_like_x(const Argument& other, const Tensor& x) {
  check_shape(other, x.sym_sizes().vec(), "[..., D], as x");
  check_goes_with(other, {other.operation, "x", x});
}

Tensor dense(const Tensor& tensor, const Tensor& x) {
  return rows_for(tensor, x).contiguous();
}
Tensor dense(const OptionalTensor& tensor, const Tensor& x) {
  return tensor ? dense(*tensor, x) : Tensor();
}

template <class T>
const T* data_or_null(const Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}
template <class T>
T* mutable_data_or_null(const Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<T>() : nullptr;
}

/// y and, where there is a residual, the sum, in the type of arithmetic.
PairOfTensors forward(const Tensor& x, const OptionalTensor& residual, const OptionalTensor& gate, const Tensor& weight,
                      double epsilon) {
  const Tensor in = dense(x, x), added = dense(residual, x), gates = dense(gate, x), w = dense(weight, x);
  const Tensor y = room_like(in), sum = residual ? room_like(in) : Tensor();
  const std::int64_t width = w.numel();
  AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "rms_norm", [&] {
    const NormInput<scalar_t> input = {.width = width,
                                       .epsilon = static_cast<scalar_t>(epsilon),
                                       .x = in.const_data_ptr<scalar_t>(),
                                       .weight = w.const_data_ptr<scalar_t>(),
                                       .residual = data_or_null<scalar_t>(added),
                                       .gate = data_or_null<scalar_t>(gates)};
    const NormOutput<scalar_t> output = {y.mutable_data_ptr<scalar_t>(), mutable_data_or_null<scalar_t>(sum)};
    run_tasks(in.numel() / width, kRowsPerTask,
              [&](std::int64_t first, std::int64_t last) { norm_rows(first, last, input, output); });
  });
  return {y.to(x.scalar_type()), sum};
}

Tensor rms_norm_cpu(const Tensor& x, const Tensor& weight, double epsilon) {
  check("rms_norm", x, weight);
  return std::get<0>(forward(x, {}, {}, weight, epsilon));
}

PairOfTensors add_rms_norm_cpu(const Tensor& x, const Tensor& residual, const Tensor& weight, double epsilon) {
  check("add_rms_norm", x, weight);
  check_like_x({"add_rms_norm", "residual", residual}, x);
  if (residual.scalar_type() == arithmetic_type(x)) return forward(x, residual, {}, weight, epsilon);
  const Tensor sum = (dense(residual, x) + x).to(residual.scalar_type());
  return {std::get<0>(forward(sum, {}, {}, weight, epsilon)).to(x.scalar_type()), sum};
}

Tensor gated_rms_norm_cpu(const Tensor& x, const Tensor& gate, const Tensor& weight, double epsilon) {
  check("gated_rms_norm", x, weight);
  check_like_x({"gated_rms_norm", "gate", gate}, x);
  return std::get<0>(forward(x, {}, gate, weight, epsilon));
}

/// Gradients of x (d_sum added to it), weight and gate; without a gate the last is empty.
BackwardResult backward_cpu(const Tensor& d_y, const OptionalTensor& d_sum, const Tensor& x, const Tensor& weight,
                            const OptionalTensor& gate, double epsilon) {
  check("rms_norm_backward", x, weight);
  const Tensor in = dense(x, x), gates = dense(gate, x), w = dense(weight, x), dy = dense(d_y, x),
               added = dense(d_sum, x);
  const std::int64_t width = w.numel(), rows = in.numel() / width, tasks = (rows + kRowsPerTask - 1) / kRowsPerTask;
  const Tensor dx = room_like(in), d_gate = gate ? room_like(in) : Tensor(),
               partial = at::zeros({tasks, width}, in.options());
  AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "rms_norm_backward", [&] {
    const NormInput<scalar_t> input = {.width = width,
                                       .epsilon = static_cast<scalar_t>(epsilon),
                                       .x = in.const_data_ptr<scalar_t>(),
                                       .weight = w.const_data_ptr<scalar_t>(),
                                       .residual = nullptr,
                                       .gate = data_or_null<scalar_t>(gates)};
    run_tasks(tasks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t task = begin; task < end; ++task) {
        norm_rows_backward<scalar_t>(task * kRowsPerTask, std::min(rows, (task + 1) * kRowsPerTask), input,
                                     {dy.const_data_ptr<scalar_t>(), data_or_null<scalar_t>(added)},
                                     {.x = dx.mutable_data_ptr<scalar_t>(),
                                      .weight = partial.mutable_data_ptr<scalar_t>() + task * width,
                                      .gate = mutable_data_or_null<scalar_t>(d_gate)});
      }
    });
  });
  return {dx.to(x.scalar_type()), partial.sum(0).to(weight.scalar_type()),
          gate ? d_gate.to(gate->scalar_type()) : at::empty({0}, x.options())};
}

Tensor rms_norm_meta(const Tensor& x, const Tensor& weight, double /*epsilon*/) {
  check("rms_norm", x, weight);
  return room_like(x);
}

PairOfTensors add_rms_norm_meta(const Tensor& x, const Tensor& residual, const Tensor& weight, double /*epsilon*/) {
  check("add_rms_norm", x, weight);
  check_like_x({"add_rms_norm", "residual", residual}, x);
  return {room_like(x), room_like(residual)};
}

Tensor gated_rms_norm_meta(const Tensor& x, const Tensor& gate, const Tensor& weight, double /*epsilon*/) {
  check("gated_rms_norm", x, weight);
  check_like_x({"gated_rms_norm", "gate", gate}, x);
  return room_like(x);
}

BackwardResult backward_meta(const Tensor& /*d_y*/, const OptionalTensor& /*d_sum*/, const Tensor& x,
                             const Tensor& weight, const OptionalTensor& gate, double /*epsilon*/) {
  check("rms_norm_backward", x, weight);
  return {room_like(x), room_like(weight), gate ? room_like(*gate) : at::empty({0}, x.options())};
}

BackwardResult call_backward(const Tensor& d_y, const OptionalTensor& d_sum, const Tensor& x, const Tensor& weight,
                             const OptionalTensor& gate, double epsilon) {
  static const auto operation = find_operation<BackwardSignature>("mestre::rms_norm_backward");
  return operation.call(d_y, d_sum, x, weight, gate, epsilon);
}

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, double epsilon) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({x, weight});
    context->saved_data["epsilon"] = epsilon;
    return rms_norm(x, weight, epsilon);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto [dx, d_weight, none] =
        call_backward(gradients[0], {}, saved[0], saved[1], {}, context->saved_data["epsilon"].toDouble());
    return {dx, d_weight, Tensor()};
  }
};

class AddRmsNorm : public torch::autograd::Function<AddRmsNorm> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& residual, const Tensor& weight,
                               double epsilon) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    auto [y, sum] = add_rms_norm(x, residual, weight, epsilon);
    context->save_for_backward({sum, weight});
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["type"] = static_cast<std::int64_t>(x.scalar_type());
    context->set_materialize_grads(false);
    return {y, sum};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto type = static_cast<at::ScalarType>(context->saved_data["type"].toInt());
    const auto result = [&](const Tensor& d_sum, const Tensor& d_weight) -> variable_list {
      return {d_sum.defined() ? d_sum.to(type) : Tensor(), d_sum, d_weight, Tensor()};
    };
    if (!gradients[0].defined()) return result(gradients[1], Tensor());
    const auto [dx, d_weight, none] = call_backward(gradients[0], if_defined(gradients[1]), saved[0], saved[1], {},
                                                    context->saved_data["epsilon"].toDouble());
    return result(dx, d_weight);
  }
};

class GatedRmsNorm : public torch::autograd::Function<GatedRmsNorm> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& gate, const Tensor& weight,
                        double epsilon) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({x, gate, weight});
    context->saved_data["epsilon"] = epsilon;
    return gated_rms_norm(x, gate, weight, epsilon);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto [dx, d_weight, d_gate] =
        call_backward(gradients[0], {}, saved[0], saved[2], saved[1], context->saved_data["epsilon"].toDouble());
    return {dx, d_gate, d_weight, Tensor()};
  }
};

Tensor rms_norm_autograd(const Tensor& x, const Tensor& weight, double epsilon) {
  if (has_kernels(x)) return RmsNorm::apply(x, weight, epsilon);
  const auto composition = [epsilon](const variable_list& in) -> variable_list {
    return {rms_norm_composition(in[0], in[1], epsilon)};
  };
  return recomputed(composition, {x, weight})[0];
}

PairOfTensors add_rms_norm_autograd(const Tensor& x, const Tensor& residual, const Tensor& weight, double epsilon) {
  if (has_kernels(x)) {
    const variable_list results = AddRmsNorm::apply(x, residual, weight, epsilon);
    return {results[0], results[1]};
  }
  const auto composition = [epsilon](const variable_list& in) -> variable_list {
    auto [y, sum] = add_rms_norm_composition(in[0], in[1], in[2], epsilon);
    return {y, sum};
  };
  const variable_list results = recomputed(composition, {x, residual, weight});
  return {results[0], results[1]};
}

Tensor gated_rms_norm_autograd(const Tensor& x, const Tensor& gate, const Tensor& weight, double epsilon) {
  if (has_kernels(x)) return GatedRmsNorm::apply(x, gate, weight, epsilon);
  const auto composition = [epsilon](const variable_list& in) -> variable_list {
    return {gated_rms_norm_composition(in[0], in[1], in[2], epsilon)};
  };
  return recomputed(composition, {x, gate, weight})[0];
}

/// x in the type of arithmetic.
Tensor normed(const Tensor& x, const Tensor& weight, double epsilon) {
  return x * (x.square().mean(-1, true) + epsilon).rsqrt() * weight.to(x.scalar_type());
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, double epsilon) {
  static const auto operation = find_operation<NormSignature>("mestre::rms_norm");
  return operation.call(x, weight, epsilon);
}

PairOfTensors add_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& weight, double epsilon) {
  static const auto operation = find_operation<AddSignature>("mestre::add_rms_norm");
  return operation.call(x, residual, weight, epsilon);
}

Tensor gated_rms_norm(const Tensor& x, const Tensor& gate, const Tensor& weight, double epsilon) {
  static const auto operation = find_operation<ThreeTensorSignature>("mestre::gated_rms_norm");
  return operation.call(x, gate, weight, epsilon);
}

Tensor rms_norm_composition(const Tensor& x, const Tensor& weight, double epsilon) {
  check("rms_norm", x, weight);
  return normed(x.to(arithmetic_type(x)), weight, epsilon).to(x.scalar_type());
}

PairOfTensors add_rms_norm_composition(const Tensor& x, const Tensor& residual, const Tensor& weight, double epsilon) {
  check("add_rms_norm", x, weight);
  check_like_x({"add_rms_norm", "residual", residual}, x);
  const at::ScalarType type = arithmetic_type(x);
  const Tensor sum = (residual.to(type) + x).to(residual.scalar_type());
  return {normed(sum.to(type), weight, epsilon).to(x.scalar_type()), sum};
}

Tensor gated_rms_norm_composition(const Tensor& x, const Tensor& gate, const Tensor& weight, double epsilon) {
  check("gated_rms_norm", x, weight);
  check_like_x({"gated_rms_norm", "gate", gate}, x);
  const at::ScalarType type = arithmetic_type(x);
  return (normed(x.to(type), weight, epsilon) * at::silu(gate.to(type))).to(x.scalar_type());
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  library.def("rms_norm(Tensor x, Tensor weight, float epsilon) -> Tensor");
  library.def("add_rms_norm(Tensor x, Tensor residual, Tensor weight, float epsilon) -> (Tensor y, Tensor residual)");
  library.def("gated_rms_norm(Tensor x, Tensor gate, Tensor weight, float epsilon) -> Tensor");
  library.def(
      "rms_norm_backward(Tensor d_y, Tensor? d_sum, Tensor x, Tensor weight, Tensor? gate, float epsilon) -> (Tensor "
      "x, Tensor weight, Tensor gate)");
}

TORCH_LIBRARY_IMPL(mestre, CPU, library) {
  library.impl("rms_norm", rms_norm_cpu);
  library.impl("add_rms_norm", add_rms_norm_cpu);
  library.impl("gated_rms_norm", gated_rms_norm_cpu);
  library.impl("rms_norm_backward", backward_cpu);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("rms_norm", rms_norm_meta);
  library.impl("add_rms_norm", add_rms_norm_meta);
  library.impl("gated_rms_norm", gated_rms_norm_meta);
  library.impl("rms_norm_backward", backward_meta);
}

TORCH_LIBRARY_IMPL(mestre, CompositeExplicitAutograd, library) {
  library.impl("rms_norm", rms_norm_composition);
  library.impl("add_rms_norm", add_rms_norm_composition);
  library.impl("gated_rms_norm", gated_rms_norm_composition);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("rms_norm", rms_norm_autograd);
  library.impl("add_rms_norm", add_rms_norm_autograd);
  library.impl("gated_rms_norm", gated_rms_norm_autograd);
  library.impl("rms_norm_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace mestre::kernels
