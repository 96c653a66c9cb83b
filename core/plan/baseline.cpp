#include "core/plan/baseline.h"

#include <algorithm>

namespace mestre {

Baselines::Baselines(const Sweep& sweep) : sweep_(sweep) {
  if (sweep.baseline.empty()) return;
  labels_.assign(sweep.axes.size(), -1);
  for (const auto& [name, label] : sweep.baseline) {
    for (std::size_t a = 0; a < sweep.axes.size(); ++a) {
      const std::vector<AxisPoint>& points = sweep.axes[a].points;
      if (sweep.axes[a].name != name) continue;
      const auto found = std::find_if(points.begin(), points.end(),
                                      [&, &wanted = label](const AxisPoint& point) { return point.label == wanted; });
      if (found != points.end()) labels_[a] = static_cast<std::int32_t>(found - points.begin());
    }
  }
}

bool Baselines::find(CellIndex cell, std::vector<std::int32_t>& baseline) const {
  if (none()) return false;
  baseline.assign(cell.begin(), cell.end());
  for (std::size_t a = 0; a < labels_.size(); ++a)
    if (labels_[a] >= 0) baseline[a] = labels_[a];
  // The axes in their order: one may exist for the baseline and not for the cell, or the other way round.
  for (std::size_t a = 0; a < labels_.size(); ++a) {
    if (sweep_.axes[a].where.conditions.empty()) continue;
    if (!matches(sweep_.axes[a].where, baseline)) {
      baseline[a] = -1;
    } else if (baseline[a] < 0) {
      baseline[a] = 0;
    }
  }
  return std::none_of(sweep_.exclusions.begin(), sweep_.exclusions.end(),
                      [&](const Exclusion& one) { return matches(one.where, baseline); });
}

}  // namespace mestre
