#include "core/model/dense.h"

#include <optional>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/model/parameter.h"

namespace mestre {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using LinearPointwise = at::Tensor(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                                   c10::string_view attribute, c10::List<std::optional<at::Scalar>> scalars,
                                   std::optional<c10::string_view> algorithm);

// oneDNN's product as Torch registers it; nothing in a build of Torch without oneDNN.
const std::optional<c10::TypedOperatorHandle<LinearPointwise>>& onednn_linear() {
  static const auto handle = []() -> std::optional<c10::TypedOperatorHandle<LinearPointwise>> {
    const auto schema = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    if (!schema) return std::nullopt;
    return schema->typed<LinearPointwise>();
  }();
  return handle;
}

bool served_by_onednn(const at::Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && !at::autocast::is_autocast_enabled(at::kCPU) &&
         onednn_linear().has_value();
}

// a b^T. Either may be a transposed view: oneDNN packs what it reads.
at::Tensor times_transposed(const at::Tensor& a, const at::Tensor& b) {
  return onednn_linear()->call(a, b, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
}

// g^T x. The product with fewer rows is the faster of the two that give it.
at::Tensor weight_gradient(const at::Tensor& g, const at::Tensor& x) {
  if (g.size(1) < x.size(1)) return times_transposed(g.t(), x.t());
  return times_transposed(x.t(), g.t()).t();
}

class DenseFunction : public torch::autograd::Function<DenseFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    return times_transposed(x, weight);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    const at::Tensor g = gradients[0].reshape({-1, weight.size(0)});
    at::Tensor dx, dw;
    if (context->needs_input_grad(0)) dx = times_transposed(g, weight.t()).view(x.sizes());
    if (context->needs_input_grad(1)) dw = weight_gradient(g, x.reshape({-1, weight.size(1)}));
    return {dx, dw};
  }
};

}  // namespace

at::Tensor dense(const at::Tensor& x, const at::Tensor& weight) {
  return served_by_onednn(x) ? DenseFunction::apply(x, weight) : at::linear(x, weight);
}

Dense::Dense(std::int64_t in, std::int64_t out) {
  weight = add_parameter(*this, "weight", {out, in});
}

BiasedDense::BiasedDense(torch::nn::Module& owner, std::string name, std::int64_t in, std::int64_t out)
    : dense_(owner.register_module(std::move(name), std::make_shared<Dense>(in, out))),
      bias_(add_parameter(*dense_, "bias", {out})) {}

}  // namespace mestre
