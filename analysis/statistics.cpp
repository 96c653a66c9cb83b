#include "analysis/statistics.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include <boost/math/distributions/students_t.hpp>

namespace mestre {

double mean(std::span<const double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double standard_deviation(std::span<const double> values) {
  if (values.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  const double center = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - center) * (value - center);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double t_quantile(std::int64_t n, double level) {
  const boost::math::students_t distribution(static_cast<double>(n - 1));
  return boost::math::quantile(boost::math::complement(distribution, (1 - level) / 2));
}

double t_half_width(std::span<const double> values, double level) {
  if (values.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  const auto n = static_cast<std::int64_t>(values.size());
  return t_quantile(n, level) * standard_deviation(values) / std::sqrt(static_cast<double>(n));
}

Summary summarize(std::span<const double> values, double level) {
  return {.n = static_cast<std::int64_t>(values.size()),
          .mean = mean(values),
          .deviation = standard_deviation(values),
          .half_width = t_half_width(values, level)};
}

Paired paired_differences(std::span<const Keyed> treatment, std::span<const Keyed> baseline, double level) {
  std::unordered_map<std::string, double> open(baseline.begin(), baseline.end());
  Paired paired;
  std::vector<double> values;
  for (const auto& [key, value] : treatment) {
    const auto partner = open.find(key);
    if (partner == open.end()) {
      paired.unpaired.push_back(key);
      continue;
    }
    values.push_back(value - partner->second);
    paired.differences.emplace_back(key, values.back());
    open.erase(partner);
  }
  for (const auto& [key, value] : baseline)
    if (open.contains(key)) paired.unpaired.push_back(key);
  paired.summary = summarize(values, level);
  return paired;
}

}  // namespace mestre
