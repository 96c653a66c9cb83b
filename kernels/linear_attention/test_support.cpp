#include "kernels/linear_attention/test_support.h"

#include <cstddef>
#include <functional>

#include <ATen/ATen.h>

#include "kernels/gated_linear_attention/gated_linear_attention.h"
#include "kernels/gated_linear_attention/reference.h"
#include "kernels/retention/reference.h"
#include "kernels/retention/retention.h"

namespace mestre::kernels::testing {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

std::vector<double> values_of(const OptionalTensor& tensor) {
  if (!tensor) return {};
  const Tensor wide = tensor->detach().to(at::kDouble).contiguous();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

Element element_of(const Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 ? Element::kBFloat16 : Element::kFloat32;
}

/// The reference in Real; `decay` and `d_decay` say where its structs have the decay.
template <class Real, class Input, class Gradient>
std::vector<NamedValues> reference_results(const AttentionCall& call, std::vector<double> Input::*decay,
                                           std::vector<double> Gradient::*d_decay) {
  const std::vector<double> reset = values_of(call.reset);
  Input in = {.batch = call.q.size(0),
              .length = call.q.size(1),
              .heads = call.q.size(2),
              .key = call.q.size(3),
              .value = call.v.size(3),
              .q = values_of(call.q),
              .k = values_of(call.k),
              .v = values_of(call.v),
              .initial_state = values_of(call.initial_state),
              .reset = {reset.begin(), reset.end()},
              .scale = call.scale};
  in.*decay = values_of(call.decay);
  const LinearAttentionOutput out = reference_forward<Real>(in);
  const Gradient d = reference_backward<Real>(in, values_of(call.d_o), values_of(call.d_final_state));
  const Element single = Element::kFloat32;
  std::vector<NamedValues> results = {{"o", element_of(call.q), out.o},
                                      {"final_state", single, out.final_state},
                                      {"d_q", element_of(call.q), d.q},
                                      {"d_k", element_of(call.k), d.k},
                                      {"d_v", element_of(call.v), d.v},
                                      {"d_decay", single, d.*d_decay},
                                      {"d_initial_state", single, d.initial_state}};
  if (!call.initial_state) results.pop_back();
  for (NamedValues& result : results) {
    for (double& value : result.values) value = sizeof(Real) < sizeof(double) ? round_to(result.element, value) : value;
  }
  return results;
}

template <class Real>
std::vector<NamedValues> gated_results(const AttentionCall& call) {
  return reference_results<Real>(call, &GatedAttentionInput::log_gate, &GatedAttentionGradient::log_gate);
}

template <class Real>
std::vector<NamedValues> retention_results(const AttentionCall& call) {
  return reference_results<Real>(call, &RetentionInput::log_decay, &RetentionGradient::log_decay);
}

}  // namespace

const AttentionOperation kGatedLinearAttention = {.name = "gated_linear_attention",
                                                  .decay_name = "log_gate",
                                                  .decay_per_token = true,
                                                  .run =
                                                      [](const AttentionCall& c) {
                                                        return gated_linear_attention(c.q, c.k, c.v, c.decay, c.scale,
                                                                                      c.initial_state, c.reset);
                                                      },
                                                  .truth = gated_results<double>,
                                                  .plain = gated_results<float>};

const AttentionOperation kRetention = {
    .name = "retention",
    .decay_name = "log_decay",
    .decay_per_token = false,
    .run = [](const AttentionCall& c) { return retention(c.q, c.k, c.v, c.decay, c.scale, c.initial_state, c.reset); },
    .truth = retention_results<double>,
    .plain = retention_results<float>};

std::vector<std::pair<std::string, Tensor*>> AttentionCall::differentiable() {
  std::vector<std::pair<std::string, Tensor*>> inputs = {{"d_q", &q}, {"d_k", &k}, {"d_v", &v}, {"d_decay", &decay}};
  if (initial_state) inputs.emplace_back("d_initial_state", &*initial_state);
  return inputs;
}

AttentionCall make_call(const AttentionOperation& operation, const AttentionCase& c) {
  at::manual_seed(std::hash<std::string>{}(c.name));
  const at::ScalarType state_type = c.type == at::kDouble ? at::kDouble : at::kFloat;
  const auto draw = [](at::IntArrayRef shape, double low, double high, at::ScalarType type) {
    return (at::rand(shape, at::kDouble) * (high - low) + low).to(type);
  };
  const std::vector<std::int64_t> keys = {c.batch, c.length, c.heads, c.key}, per_head = {c.heads};
  const std::vector<std::int64_t> values = {c.batch, c.length, c.heads, c.value};
  const std::vector<std::int64_t> states = {c.batch, c.heads, c.key, c.value};
  AttentionCall call = {
      .q = draw(keys, -1, 1, c.type),
      .k = draw(keys, -1, 1, c.type),
      .v = draw(values, -1, 1, c.type),
      .decay = draw(operation.decay_per_token ? keys : per_head, c.decay_low, c.decay_high, state_type),
      .scale = 0.37,
      .d_o = draw(values, -1, 1, c.type)};
  if (c.initial_state) call.initial_state = draw(states, -2, 2, state_type);
  if (c.reset) call.reset = at::rand({c.batch, c.length}) < 1.0 / 16;
  if (c.final_gradient) call.d_final_state = draw(states, -1, 1, state_type);
  return call;
}

Tensor loss_of(const AttentionCall& call, const Tensor& o, const Tensor& final_state) {
  const at::ScalarType type = final_state.scalar_type();
  const Tensor of_o = (o.to(type) * call.d_o.to(type)).sum();
  return call.d_final_state ? of_o + (final_state * *call.d_final_state).sum() : of_o;
}

std::vector<NamedValues> results_of(const AttentionOperation& operation, AttentionCall call) {
  for (auto& [name, input] : call.differentiable()) *input = input->detach().requires_grad_();
  const auto [o, final_state] = operation.run(call);
  loss_of(call, o, final_state).backward();
  std::vector<NamedValues> results = {named("o", o), named("final_state", final_state)};
  for (auto& [name, input] : call.differentiable()) results.push_back(named(name, input->grad()));
  return results;
}

NamedValues named(const std::string& name, const Tensor& tensor) {
  return {name, element_of(tensor), values_of(tensor)};
}

std::string judge_results(const AttentionOperation& operation, const AttentionCall& call,
                          const std::vector<NamedValues>& results) {
  const std::vector<NamedValues> truth = operation.truth(call), plain = operation.plain(call);
  if (results.size() != truth.size()) return "expected " + std::to_string(truth.size()) + " results";
  std::string wrong;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const bool in_double = call.q.scalar_type() == at::kDouble;
    wrong += in_double ? judge_double(results[i], truth[i]) : judge(results[i], plain[i], truth[i]);
  }
  return wrong;
}

}  // namespace mestre::kernels::testing
