#include "kernels/selective_scan/test_call.h"

#include <ATen/ATen.h>

#include "kernels/selective_scan/selective_scan.h"

namespace mestre::kernels::testing {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

namespace {

at::ScalarType scalar_type(Element element) {
  return element == Element::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

Tensor tensor(const std::vector<double>& values, at::IntArrayRef shape, Element element = Element::kFloat32) {
  return at::tensor(values, at::kDouble).reshape(shape).to(scalar_type(element));
}

}  // namespace

std::tuple<Tensor, Tensor> ScanCall::operator()() const {
  return selective_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, reset);
}

std::vector<std::pair<std::string, Tensor*>> ScanCall::differentiable() {
  std::vector<std::pair<std::string, Tensor*>> inputs = {
      {"d_u", &u}, {"d_delta", &delta}, {"d_A", &A}, {"d_B", &B}, {"d_C", &C}};
  if (D) inputs.emplace_back("d_D", &*D);
  if (z) inputs.emplace_back("d_z", &*z);
  if (delta_bias) inputs.emplace_back("d_delta_bias", &*delta_bias);
  if (initial_state) inputs.emplace_back("d_initial_state", &*initial_state);
  return inputs;
}

ScanCall make_call(const ScanCase& c, const ScanProblem& p) {
  const ReferenceInput& in = p.input;
  const std::int64_t B = c.batch, L = c.length, E = c.channels, N = c.state;
  const auto given = [](const std::vector<double>& values, at::IntArrayRef shape, Element element) {
    return values.empty() ? OptionalTensor() : tensor(values, shape, element);
  };
  const Element single = Element::kFloat32;
  ScanCall call = {.u = tensor(in.u, {B, L, E}, c.element),
                   .delta = tensor(in.delta, {B, L, E}, c.element),
                   .A = tensor(in.A, {E, N}),
                   .B = tensor(in.B, {B, L, N}, c.element),
                   .C = tensor(in.C, {B, L, N}, c.element),
                   .D = given(in.D, {E}, single),
                   .z = given(in.z, {B, L, E}, c.element),
                   .delta_bias = given(in.delta_bias, {E}, single),
                   .delta_softplus = c.delta_softplus,
                   .initial_state = given(in.initial_state, {B, E, N}, single),
                   .reset = {},
                   .d_y = tensor(p.d_y, {B, L, E}, c.element),
                   .d_final_state = given(p.d_final_state, {B, E, N}, single)};
  if (c.reset) {
    call.reset = tensor(std::vector<double>(in.reset.begin(), in.reset.end()), {B, L}).to(at::kBool);
  }
  return call;
}

ScanCall make_call(const ScanCase& c) {
  return make_call(c, make_problem(c));
}

ScanCall in_double(ScanCall call) {
  for (auto& [name, input] : call.differentiable()) *input = input->to(at::kDouble);
  call.d_y = call.d_y.to(at::kDouble);
  if (call.d_final_state) call.d_final_state = call.d_final_state->to(at::kDouble);
  return call;
}

NamedValues named(const std::string& name, const Tensor& tensor) {
  const Tensor wide = tensor.to(at::kDouble).contiguous();
  const double* data = wide.const_data_ptr<double>();
  return {name,
          tensor.scalar_type() == at::kBFloat16 ? Element::kBFloat16 : Element::kFloat32,
          {data, data + wide.numel()}};
}

/// Forward and, through autograd, backward. The caller's tensors are left without gradients.
std::vector<NamedValues> run(ScanCall call) {
  for (auto& [name, input] : call.differentiable()) *input = input->detach().requires_grad_();
  const auto [y, final_state] = call();
  std::vector<NamedValues> results = {named("y", y.detach()), named("final_state", final_state.detach())};
  const at::ScalarType type = final_state.scalar_type();
  Tensor loss = (y.to(type) * call.d_y.to(type)).sum();
  if (call.d_final_state) loss = loss + (final_state * *call.d_final_state).sum();
  loss.backward();
  for (auto& [name, input] : call.differentiable()) results.push_back(named(name, input->grad()));
  return results;
}

}  // namespace mestre::kernels::testing
