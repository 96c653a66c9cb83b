// Registers the causal convolution with Torch's dispatcher: schemas, checks, CPU, Meta, composition, Autograd.
#include <optional>
#include <string>
#include <tuple>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/causal_conv1d/cpu.h"
#include "kernels/operation.h"
#include "kernels/recompute.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;
using torch::autograd::variable_list;

using ForwardResult = std::tuple<Tensor, Tensor>;
using BackwardResult = std::tuple<Tensor, Tensor, Tensor, Tensor>;
using ForwardSignature = ForwardResult(const Tensor&, const Tensor&, const OptionalTensor&, bool,
                                       const OptionalTensor&);
using BackwardSignature = BackwardResult(const OptionalTensor&, const OptionalTensor&, const Tensor&, const Tensor&,
                                         const OptionalTensor&, bool, const OptionalTensor&);

/// The arguments of both operations.
struct Arguments {
  const Tensor &x, &weight;
  const OptionalTensor& bias;
  bool silu;
  const OptionalTensor& initial_state;
};

Shape state_shape(const Arguments& a) {
  return {a.x.sym_size(0), a.weight.sym_size(1) - 1, a.x.sym_size(2)};
}

void check(const Arguments& a) {
  constexpr const char* kName = "causal_conv1d";
  const Argument x = {kName, "x", a.x}, weight = {kName, "weight", a.weight};
  check_rank(x, 3, "[B, L, E]");
  check_floating(x);
  check_rank(weight, 2, "[E, W]");
  const c10::SymInt channels = a.x.sym_size(2), taps = a.weight.sym_size(1);
  TORCH_CHECK(taps <= kMostTaps, kName, ": weight: expected at most ", kMostTaps, " taps, got ", taps);
  check_shape(weight, {channels, taps}, "[E, W], E from x");
  check_goes_with(weight, x);
  if (a.bias) {
    const Argument bias = {kName, "bias", *a.bias};
    check_shape(bias, {channels}, "[E]");
    check_goes_with(bias, x);
  }
  if (a.initial_state) {
    const Argument state = {kName, "initial_state", *a.initial_state};
    check_shape(state, state_shape(a), "[B, W - 1, E]");
    check_goes_with(state, x);
  }
}

/// The arguments in the type of arithmetic, zeros for what is absent.
class CpuInput {
 public:
  explicit CpuInput(const Arguments& a)
      : x_(rows_for(a.x, a.x)),
        weight_(rows_for(a.weight, a.x).t().contiguous()),
        bias_(a.bias ? rows_for(*a.bias, a.x).contiguous() : at::zeros({a.x.size(2)}, x_.options())),
        state_(a.initial_state ? rows_for(*a.initial_state, a.x).contiguous()
                               : at::zeros({1, taps() - 1, a.x.size(2)}, x_.options())),
        silu_(a.silu) {}

  [[nodiscard]] std::int64_t taps() const { return weight_.size(0); }
  [[nodiscard]] const Tensor& x() const { return x_; }

  template <class T>
  [[nodiscard]] ConvolutionInput<T> sequence(std::int64_t row) const {
    const std::int64_t state_stride = state_.size(0) == 1 ? 0 : state_.stride(0);
    return {.length = x_.size(1),
            .channels = x_.size(2),
            .taps = taps(),
            .silu = silu_,
            .x = x_.const_data_ptr<T>() + row * x_.stride(0),
            .x_stride = x_.stride(1),
            .weight = weight_.const_data_ptr<T>(),
            .bias = bias_.const_data_ptr<T>(),
            .state = state_.const_data_ptr<T>() + row * state_stride};
  }

 private:
  Tensor x_, weight_, bias_, state_;
  bool silu_;
};

ForwardResult forward_cpu(const Tensor& x, const Tensor& weight, const OptionalTensor& bias, bool silu,
                          const OptionalTensor& initial_state) {
  const Arguments a = {x, weight, bias, silu, initial_state};
  check(a);
  const CpuInput in(a);
  const std::int64_t batch = x.size(0), channels = x.size(2), states = (in.taps() - 1) * channels;
  const Tensor y = at::empty(x.sizes(), in.x().options()),
               final_state = at::empty({batch, in.taps() - 1, channels}, in.x().options());
  AT_DISPATCH_FLOATING_TYPES(y.scalar_type(), "causal_conv1d", [&] {
    run_tasks(batch, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t row = first; row < last; ++row)
        causal_conv1d_forward(in.sequence<scalar_t>(row), y.mutable_data_ptr<scalar_t>() + row * y.stride(0),
                              final_state.mutable_data_ptr<scalar_t>() + row * states);
    });
  });
  return {y.to(x.scalar_type()), final_state.to(x.scalar_type())};
}

Tensor contiguous_for(const OptionalTensor& gradient, const Tensor& x) {
  return gradient ? rows_for(*gradient, x).contiguous() : Tensor();
}

template <class T>
const T* sequence_of(const Tensor& tensor, std::int64_t row) {
  return tensor.defined() ? tensor.const_data_ptr<T>() + row * tensor.stride(0) : nullptr;
}

BackwardResult backward_cpu(const OptionalTensor& d_y, const OptionalTensor& d_final_state, const Tensor& x,
                            const Tensor& weight, const OptionalTensor& bias, bool silu,
                            const OptionalTensor& initial_state) {
  const Arguments a = {x, weight, bias, silu, initial_state};
  check(a);
  const CpuInput in(a);
  const Tensor dy = contiguous_for(d_y, x), d_final = contiguous_for(d_final_state, x);
  const std::int64_t batch = x.size(0), channels = x.size(2), taps = in.taps(), states = (taps - 1) * channels;
  const Tensor dx = at::empty(x.sizes(), in.x().options()),
               d_state = at::empty({batch, taps - 1, channels}, in.x().options());
  const Tensor scratch = at::zeros({batch, convolution_scratch(taps, channels)}, dx.options());
  const Tensor sums = at::zeros({batch, taps + 1, channels}, dx.options());
  AT_DISPATCH_FLOATING_TYPES(dx.scalar_type(), "causal_conv1d_backward", [&] {
    run_tasks(batch, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t row = first; row < last; ++row)
        causal_conv1d_backward(in.sequence<scalar_t>(row), sequence_of<scalar_t>(dy, row),
                               sequence_of<scalar_t>(d_final, row),
                               scratch.mutable_data_ptr<scalar_t>() + row * scratch.stride(0),
                               {.x = dx.mutable_data_ptr<scalar_t>() + row * dx.stride(0),
                                .state = d_state.mutable_data_ptr<scalar_t>() + row * states,
                                .weight_and_bias = sums.mutable_data_ptr<scalar_t>() + row * sums.stride(0)});
    });
  });
  const Tensor sum = sums.sum(0);
  return {dx.to(x.scalar_type()), sum.narrow(0, 0, taps).t().to(weight.scalar_type()),
          sum.select(0, taps).to(bias ? bias->scalar_type() : weight.scalar_type()),
          d_state.to(initial_state ? initial_state->scalar_type() : x.scalar_type())};
}

ForwardResult forward_meta(const Tensor& x, const Tensor& weight, const OptionalTensor& bias, bool silu,
                           const OptionalTensor& initial_state) {
  const Arguments a = {x, weight, bias, silu, initial_state};
  check(a);
  return {at::empty_symint(x.sym_sizes(), x.options()), at::empty_symint(state_shape(a), x.options())};
}

BackwardResult backward_meta(const OptionalTensor& /*d_y*/, const OptionalTensor& /*d_final_state*/, const Tensor& x,
                             const Tensor& weight, const OptionalTensor& bias, bool silu,
                             const OptionalTensor& initial_state) {
  const Arguments a = {x, weight, bias, silu, initial_state};
  check(a);
  const auto like = [](const Shape& shape, const Tensor& tensor) { return at::empty_symint(shape, tensor.options()); };
  return {like(x.sym_sizes().vec(), x), like(weight.sym_sizes().vec(), weight),
          like({x.sym_size(2)}, bias ? *bias : weight), like(state_shape(a), initial_state ? *initial_state : x)};
}

class CausalConv1d : public torch::autograd::Function<CausalConv1d> {
 public:
  static variable_list forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& weight,
                               const OptionalTensor& bias, bool silu, const OptionalTensor& initial_state) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    auto [y, final_state] = causal_conv1d(x, weight, bias, silu, initial_state);
    context->save_for_backward({x, weight, or_undefined(bias), or_undefined(initial_state)});
    context->saved_data["silu"] = silu;
    context->set_materialize_grads(false);
    return {y, final_state};
  }

  static variable_list backward(torch::autograd::AutogradContext* context, const variable_list& gradients) {
    static const auto operation = find_operation<BackwardSignature>("mestre::causal_conv1d_backward");
    const variable_list saved = context->get_saved_variables();
    if (!gradients[0].defined() && !gradients[1].defined()) return variable_list(5);
    const auto [dx, d_weight, d_bias, d_state] =
        operation.call(if_defined(gradients[0]), if_defined(gradients[1]), saved[0], saved[1], if_defined(saved[2]),
                       context->saved_data["silu"].toBool(), if_defined(saved[3]));
    return {dx, d_weight, saved[2].defined() ? d_bias : Tensor(), Tensor(), saved[3].defined() ? d_state : Tensor()};
  }
};

ForwardResult forward_autograd(const Tensor& x, const Tensor& weight, const OptionalTensor& bias, bool silu,
                               const OptionalTensor& initial_state) {
  if (has_kernels(x)) {
    const variable_list outputs = CausalConv1d::apply(x, weight, bias, silu, initial_state);
    return {outputs[0], outputs[1]};
  }
  check({x, weight, bias, silu, initial_state});
  const auto composition = [silu](const variable_list& in) -> variable_list {
    auto [y, final_state] = causal_conv1d_composition(in[0], in[1], if_defined(in[2]), silu, if_defined(in[3]));
    return {y, final_state};
  };
  const variable_list outputs = recomputed(composition, {x, weight, or_undefined(bias), or_undefined(initial_state)});
  return {outputs[0], outputs[1]};
}

}  // namespace

std::tuple<Tensor, Tensor> causal_conv1d(const Tensor& x, const Tensor& weight, const OptionalTensor& bias, bool silu,
                                         const OptionalTensor& initial_state) {
  static const auto operation = find_operation<ForwardSignature>("mestre::causal_conv1d");
  return operation.call(x, weight, bias, silu, initial_state);
}

std::tuple<Tensor, Tensor> causal_conv1d_composition(const Tensor& x, const Tensor& weight, const OptionalTensor& bias,
                                                     bool silu, const OptionalTensor& initial_state) {
  const at::ScalarType type = arithmetic_type(x);
  const std::int64_t taps = weight.size(1), length = x.size(1);
  const Tensor before =
      initial_state ? initial_state->to(x.scalar_type()) : at::zeros({x.size(0), taps - 1, x.size(2)}, x.options());
  const Tensor all = at::cat({before, x}, 1), typed = all.to(type), w = weight.to(type);
  Tensor p = typed.narrow(1, 0, length) * w.select(1, 0);
  for (std::int64_t k = 1; k < taps; ++k) p = p + typed.narrow(1, k, length) * w.select(1, k);
  if (bias) p = p + bias->to(type);
  return {(silu ? at::silu(p) : p).to(x.scalar_type()), all.narrow(1, length, taps - 1)};
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  const std::string parameters =
      "Tensor x, Tensor weight, Tensor? bias=None, bool silu=False, Tensor? initial_state=None";
  library.def(("causal_conv1d(" + parameters + ") -> (Tensor y, Tensor final_state)").c_str());
  library.def(("causal_conv1d_backward(Tensor? d_y, Tensor? d_final_state, " + parameters +
               ") -> (Tensor x, Tensor weight, Tensor bias, Tensor initial_state)")
                  .c_str());
}

TORCH_LIBRARY_IMPL(mestre, CPU, library) {
  library.impl("causal_conv1d", forward_cpu);
  library.impl("causal_conv1d_backward", backward_cpu);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("causal_conv1d", forward_meta);
  library.impl("causal_conv1d_backward", backward_meta);
}

TORCH_LIBRARY_IMPL(mestre, CompositeExplicitAutograd, library) {
  library.impl("causal_conv1d", causal_conv1d_composition);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("causal_conv1d", forward_autograd);
  library.impl("causal_conv1d_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace mestre::kernels
