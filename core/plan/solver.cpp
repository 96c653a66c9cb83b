// Bisection over the values of an option, some of which are impossible.
//
// The possible values in ascending order have quantities that rise (or fall) monotonically. So "the quantity has passed
// t" is false up to some value and true from it on, and that value is found by halving. Where the middle is impossible,
// the next possible value to its right stands for it; where there is none before the end, the whole right half is empty
// and the search goes on in the left one. Each turn at least halves the interval, so it ends; stepping over gaps asks
// for each value of a gap at most once a turn, and as the intervals halve, for no more than twice the range in all.

#include "core/plan/solver.h"

#include <cmath>
#include <limits>

namespace mestre {
namespace {

class Search {
 public:
  Search(const SolveRange& range, const Quantity& quantity, std::int64_t patience)
      : range_(range), quantity_(quantity), patience_(patience) {
    if (range.step >= 1 && range.last >= range.first) count_ = (range.last - range.first) / range.step + 1;
  }

  std::optional<Solved> run(double target) {
    const std::optional<SolvePoint> smallest = next(0, count_);
    if (!smallest) return std::nullopt;
    const std::optional<SolvePoint> largest = previous(count_);
    if (!largest) return std::nullopt;
    sign_ = largest->quantity < smallest->quantity ? -1 : 1;

    // The first to pass the target, and the one before it; on a plateau, its first.
    const std::optional<SolvePoint> past = first_past(target);
    std::optional<SolvePoint> before = previous(past ? index_of(*past) : count_);
    if (before) before = first_past(before->quantity);
    if (patience_ < 0 || (!past && !before)) return std::nullopt;
    Solved solved;
    for (const std::optional<SolvePoint>& point : {before, past})
      if (point) (point->quantity < target ? solved.below : solved.above) = point;
    const bool is_past = past && (!before || distance(*past, target) < distance(*before, target));
    solved.best = is_past ? *past : *before;
    return solved;
  }

 private:
  static double distance(const SolvePoint& point, double target) { return std::abs(point.quantity - target); }
  [[nodiscard]] std::int64_t index_of(const SolvePoint& point) const {
    return (point.value - range_.first) / range_.step;
  }

  std::optional<SolvePoint> at(std::int64_t index) {
    if (--patience_ < 0) return std::nullopt;
    const std::int64_t value = range_.first + index * range_.step;
    const std::optional<double> found = quantity_(value);
    if (!found || !std::isfinite(*found)) return std::nullopt;
    return SolvePoint{.value = value, .quantity = *found};
  }

  // The first possible one in [from, end).
  std::optional<SolvePoint> next(std::int64_t from, std::int64_t end) {
    for (std::int64_t i = from; i < end && patience_ >= 0; ++i)
      if (const std::optional<SolvePoint> point = at(i)) return point;
    return std::nullopt;
  }
  // The last possible one before `end`.
  std::optional<SolvePoint> previous(std::int64_t end) {
    for (std::int64_t i = end - 1; i >= 0 && patience_ >= 0; --i)
      if (const std::optional<SolvePoint> point = at(i)) return point;
    return std::nullopt;
  }

  std::optional<SolvePoint> first_past(double threshold) {
    std::optional<SolvePoint> first;
    std::int64_t low = 0;
    std::int64_t high = count_;  // everything possible from here on has passed
    while (low < high && patience_ >= 0) {
      const std::int64_t middle = low + (high - low) / 2;
      const std::optional<SolvePoint> point = next(middle, high);
      if (!point) {
        high = middle;
      } else if (sign_ * (point->quantity - threshold) >= 0) {
        first = point;
        high = middle;
      } else {
        low = index_of(*point) + 1;
      }
    }
    return first;
  }

  const SolveRange& range_;
  const Quantity& quantity_;
  std::int64_t patience_;
  std::int64_t count_ = 0;
  double sign_ = 1;  // -1 where the quantity falls
};

}  // namespace

std::optional<Solved> solve(const SolveRange& range, double target, const Quantity& quantity, std::int64_t patience) {
  return Search(range, quantity, patience).run(target);
}

double residual(double quantity, double target) {
  if (quantity == target) return 0;
  return target == 0 ? std::numeric_limits<double>::infinity() : (quantity - target) / target;
}

}  // namespace mestre
