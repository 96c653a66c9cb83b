// Finds the value of one option that brings a quantity of a model nearest to a target. Pure; knows nothing of models.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

namespace mestre {

/// The values an option may take: first, first + step … up to last.
struct SolveRange {
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::int64_t step = 1;  // at least 1
};

/// The quantity at a value; nothing where the model cannot have this value (heads that do not divide its width).
using Quantity = std::function<std::optional<double>(std::int64_t)>;

struct SolvePoint {
  std::int64_t value = 0;
  double quantity = 0;
  friend bool operator==(const SolvePoint&, const SolvePoint&) = default;
};

struct Solved {
  SolvePoint best;  // nearest to the target; of equally near ones the smallest value
  // Where the target is missed: the nearest with less of the quantity and the nearest with more, where there are any.
  std::optional<SolvePoint> below;
  std::optional<SolvePoint> above;
};

/// Asks for the quantity at about 2 log2(n) values of n, and besides at those that it has to step over because nothing
/// is possible there. The quantity must rise or fall with the value wherever there is one (it may rest). Nothing where
/// no value is possible, or where more than `patience` values were asked for.
[[nodiscard]] std::optional<Solved> solve(const SolveRange& range, double target, const Quantity& quantity,
                                          std::int64_t patience = 200000);

/// How far a quantity is off, as a share of the target: 0.01 is one per cent too much. Infinite for a target of 0 that
/// is missed.
[[nodiscard]] double residual(double quantity, double target);

}  // namespace mestre
