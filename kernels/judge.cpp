#include "kernels/judge.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <sstream>

namespace mestre::kernels::testing {
namespace {

/// The only tolerances of the kernels. Floors are relative to the truth's greatest, or root-mean-square, value; the
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

constexpr double kDoubleAllowed = 1e-12;  // of a result in fp64, relative to the truth's greatest value

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

bool comparable(const NamedValues& result, const NamedValues& truth) {
  return result.name == truth.name && result.values.size() == truth.values.size();
}

std::string mismatch(const NamedValues& result, const NamedValues& truth) {
  std::ostringstream wrong;
  wrong << "expected " << truth.name << " with " << truth.values.size() << " values, got " << result.name << " with "
        << result.values.size();
  return wrong.str();
}

}  // namespace

double round_to(Element element, double value) {
  const float single = static_cast<float>(value);
  if (element == Element::kFloat32 || std::isnan(single)) return single;
  const auto bits = std::bit_cast<std::uint32_t>(single);
  return std::bit_cast<float>((bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u);
}

std::string judge(const NamedValues& result, const NamedValues& plain, const NamedValues& truth) {
  if (!comparable(result, truth)) return mismatch(result, truth);
  std::ostringstream wrong;
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

std::string judge_double(const NamedValues& result, const NamedValues& truth) {
  if (!comparable(result, truth)) return mismatch(result, truth);
  const double scale = error_of(std::vector<double>(truth.values.size()), truth.values).greatest;
  const double greatest = error_of(result.values, truth.values).greatest;
  if (greatest <= kDoubleAllowed * scale) return "";
  std::ostringstream wrong;
  wrong << truth.name << ": greatest error " << greatest << ", allowed " << kDoubleAllowed * scale;
  return wrong.str();
}

}  // namespace mestre::kernels::testing
