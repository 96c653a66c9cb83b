// Which cell another is compared with: the one that has the baseline's labels and is otherwise equal.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/plan/grid.h"

namespace mestre {

class Baselines {
 public:
  /// `sweep` outlives it.
  explicit Baselines(const Sweep& sweep);

  [[nodiscard]] bool none() const { return labels_.empty(); }
  /// Writes the baseline cell of `cell` into `baseline` (its own index where it is one). On an axis that only the
  /// baseline has, its first label. False where an exclusion drops that cell, or where the sweep has no baseline.
  bool find(CellIndex cell, std::vector<std::int32_t>& baseline) const;

 private:
  const Sweep& sweep_;
  std::vector<std::int32_t> labels_;  // per axis; -1 where the baseline does not name it. Empty: no baseline
};

}  // namespace mestre
