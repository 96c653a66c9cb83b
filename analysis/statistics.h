// Statistics over seeds: few values, so Student's t and no normal approximation.
//
// Pure functions, thread-safe. A value that is not finite makes every result that depends on it not finite; nothing is
// dropped silently.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mestre {

inline constexpr double kConfidence = 0.95;

/// sum(x) / n; NaN for n = 0.
[[nodiscard]] double mean(std::span<const double> values);

/// Sample standard deviation: sqrt(sum((x - mean)^2) / (n - 1)); NaN for n < 2.
[[nodiscard]] double standard_deviation(std::span<const double> values);

/// Half the width of the two-sided t interval for the mean: t(1 - (1 - level) / 2; n - 1) * standard_deviation /
/// sqrt(n). NaN for n < 2: one value says nothing about the spread over seeds.
[[nodiscard]] double t_half_width(std::span<const double> values, double level = kConfidence);

/// The quantile of Student's t that t_half_width multiplies with: 12.706 for 2 values at 95 %, 4.303 for 3, 2.776
/// for 5. Needs n >= 2.
[[nodiscard]] double t_quantile(std::int64_t n, double level = kConfidence);

/// All of the above for one sample.
struct Summary {
  std::int64_t n = 0;
  double mean = std::numeric_limits<double>::quiet_NaN();
  double deviation = std::numeric_limits<double>::quiet_NaN();
  double half_width = std::numeric_limits<double>::quiet_NaN();
};
[[nodiscard]] Summary summarize(std::span<const double> values, double level = kConfidence);

/// One value and what pairs it with others: the label of its seed.
using Keyed = std::pair<std::string, double>;

/// Differences treatment - baseline of the values with the same key, and their mean with its t interval: the seeds'
/// common part cancels, so this interval is narrower than one made of two separate ones. With one pair there is a
/// difference and no interval.
struct Paired {
  std::vector<Keyed> differences;     // in the order of `treatment`
  Summary summary;                    // of the differences
  std::vector<std::string> unpaired;  // keys that only one side has
};
/// Keys are unique within each side.
[[nodiscard]] Paired paired_differences(std::span<const Keyed> treatment, std::span<const Keyed> baseline,
                                        double level = kConfidence);

}  // namespace mestre
