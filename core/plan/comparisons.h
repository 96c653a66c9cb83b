// Each cell against its baseline cell: which comparisons are unfair, and why.
//
// Cells that differ from their baselines in the same parts are compared once. Refers to all that it is given, which
// outlives it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "core/plan/baseline.h"
#include "core/plan/fairness.h"
#include "core/plan/resolver.h"

namespace mestre {

class Comparisons {
 public:
  Comparisons(const Sweep& sweep, Resolver& resolver, Plan& plan, Diagnostics& diagnostics);

  /// Index of the cell's marks among those of the plan, which grow by new ones; -1 where the comparison is fair, the
  /// cell is a baseline itself, or its baseline has mistakes. A cell whose baseline cell is excluded is reported, the
  /// first of them.
  [[nodiscard]] std::int32_t marks_of(CellIndex cell, const CellParts& parts);

 private:
  using Key = std::array<std::int64_t, 8>;  // the parts that differ, and how conditions treat the two

  [[nodiscard]] FairnessFacts facts_of(const CellParts& parts) const;
  [[nodiscard]] Declared declared_between(CellIndex cell, CellIndex baseline) const;
  [[nodiscard]] std::int64_t conditions_key(CellIndex cell, CellIndex baseline) const;
  [[nodiscard]] Position place_of_baseline() const;

  const Sweep& sweep_;
  Resolver& resolver_;
  Plan& plan_;
  Diagnostics& diagnostics_;
  Baselines baselines_;
  std::vector<std::int32_t> baseline_;  // of the cell in hand
  std::map<Key, std::int32_t> known_;
  std::map<std::vector<std::string>, std::int32_t> lists_;
  bool reported_ = false;
};

}  // namespace mestre
