#include "kernels/selective_scan/test_support.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <functional>
#include <random>
#include <sstream>

namespace mestre::kernels::testing {
namespace {

/// The only tolerances of this kernel. Floors are relative to the truth's greatest, or root-mean-square, value; the
/// last is absolute.
struct Tolerance {
  Element element;
  double ratio, greatest_floor, mean_floor, underflow;
};
constexpr Tolerance kTolerances[] = {
    {Element::kFloat32, 2.0, 3e-7, 1e-7,
     1e-36},  // the floor is a few units in the last place: short sums round luckily
    {Element::kBFloat16, 2.0, 4e-5, 1e-5,
     1e-36},  // both are rounded to 8 bits; the floor is for ties that fall differently
};

Tolerance tolerance_for(Element element) {
  return *std::find_if(std::begin(kTolerances), std::end(kTolerances),
                       [&](const Tolerance& t) { return t.element == element; });
}

struct Error {
  double greatest = 0, mean = 0;
};

/// Of `values` against `truth`; a NaN counts as infinitely wrong.
Error error_of(const std::vector<double>& values, const std::vector<double>& truth) {
  Error error;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const double difference = std::abs(values[i] - truth[i]);
    error.greatest = std::isnan(difference) ? HUGE_VAL : std::max(error.greatest, difference);
    error.mean += difference * difference / static_cast<double>(truth.size());
  }
  error.mean = std::isnan(error.mean) ? HUGE_VAL : std::sqrt(error.mean);
  return error;
}

std::vector<double> draw(std::mt19937_64& random, std::int64_t count, Element element, double low, double high) {
  std::uniform_real_distribution<double> uniform(low, high);
  std::vector<double> values(count);
  for (double& value : values) value = round_to(element, uniform(random));
  return values;
}

}  // namespace

double round_to(Element element, double value) {
  const float single = static_cast<float>(value);
  if (element == Element::kFloat32 || std::isnan(single)) return single;
  const auto bits = std::bit_cast<std::uint32_t>(single);
  return std::bit_cast<float>((bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u);
}

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

std::string judge(const NamedValues& result, const NamedValues& plain, const NamedValues& truth) {
  std::ostringstream wrong;
  if (result.name != truth.name || result.values.size() != truth.values.size()) {
    wrong << "expected " << truth.name << " with " << truth.values.size() << " values, got " << result.name << " with "
          << result.values.size();
    return wrong.str();
  }
  const Tolerance tolerance = tolerance_for(result.element);
  const Error scale = error_of(std::vector<double>(truth.values.size()), truth.values);
  const Error error = error_of(result.values, truth.values), allowed = error_of(plain.values, truth.values);
  const double floor = tolerance.underflow;  // the kernels' exponential has no subnormal results
  const double greatest = tolerance.ratio * allowed.greatest + tolerance.greatest_floor * scale.greatest + floor;
  const double mean = tolerance.ratio * allowed.mean + tolerance.mean_floor * scale.mean + floor;
  if (!(error.greatest <= greatest)) {
    wrong << truth.name << ": greatest error " << error.greatest << ", allowed " << greatest << "; ";
  }
  if (!(error.mean <= mean)) wrong << truth.name << ": root-mean-square error " << error.mean << ", allowed " << mean;
  return wrong.str();
}

}  // namespace mestre::kernels::testing
