#include "kernels/selective_scan/test_support.h"

#include <functional>
#include <random>

namespace mestre::kernels::testing {
namespace {

std::vector<double> draw(std::mt19937_64& random, std::int64_t count, Element element, double low, double high) {
  std::uniform_real_distribution<double> uniform(low, high);
  std::vector<double> values(count);
  for (double& value : values) value = round_to(element, uniform(random));
  return values;
}

}  // namespace

ScanProblem make_problem(const ScanCase& c) {
  std::mt19937_64 random(std::hash<std::string>{}(c.name));
  const Element single = Element::kFloat32;
  const std::int64_t tokens = c.batch * c.length * c.channels, rows = c.batch * c.length * c.state;
  const std::int64_t states = c.batch * c.channels * c.state;
  const auto optional = [&](bool given, std::int64_t count, Element element, double low, double high) {
    return given ? draw(random, count, element, low, high) : std::vector<double>{};
  };
  ScanProblem p;
  p.input = {.batch = c.batch,
             .length = c.length,
             .channels = c.channels,
             .state = c.state,
             .u = draw(random, tokens, c.element, -1, 1),
             .delta = draw(random, tokens, c.element, c.delta_low, c.delta_high),
             .A = draw(random, c.channels * c.state, single, -4, -0.01),
             .B = draw(random, rows, c.element, -1, 1),
             .C = draw(random, rows, c.element, -1, 1),
             .D = optional(c.D, c.channels, single, -1, 1),
             .z = optional(c.z, tokens, c.element, -3, 3),
             .delta_bias = optional(c.delta_bias, c.channels, single, 0, 0.5),
             .initial_state = optional(c.initial_state, states, single, -2, 2),
             .reset = {},
             .delta_softplus = c.delta_softplus};
  if (c.reset) {
    for (std::int64_t i = 0; i < c.batch * c.length; ++i) p.input.reset.push_back(random() % 16 == 0);
  }
  p.d_y = draw(random, tokens, c.element, -1, 1);
  p.d_final_state = optional(c.final_gradient, states, single, -1, 1);
  return p;
}

template <class Real>
std::vector<NamedValues> reference_results(const ScanProblem& problem, Element element) {
  const ReferenceOutput out = reference_forward<Real>(problem.input);
  const ReferenceGradient d = reference_backward<Real>(problem.input, problem.d_y, problem.d_final_state);
  const Element single = Element::kFloat32;
  std::vector<NamedValues> results = {{"y", element, out.y},
                                      {"final_state", single, out.final_state},
                                      {"d_u", element, d.u},
                                      {"d_delta", element, d.delta},
                                      {"d_A", single, d.A},
                                      {"d_B", element, d.B},
                                      {"d_C", element, d.C},
                                      {"d_D", single, d.D},
                                      {"d_z", element, d.z},
                                      {"d_delta_bias", single, d.delta_bias},
                                      {"d_initial_state", single, d.initial_state}};
  std::erase_if(results, [](const NamedValues& r) { return r.values.empty(); });
  for (NamedValues& result : results) {
    for (double& value : result.values) value = sizeof(Real) < sizeof(double) ? round_to(result.element, value) : value;
  }
  return results;
}

template std::vector<NamedValues> reference_results<float>(const ScanProblem&, Element);
template std::vector<NamedValues> reference_results<double>(const ScanProblem&, Element);

}  // namespace mestre::kernels::testing
