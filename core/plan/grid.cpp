#include "core/plan/grid.h"

#include <limits>

namespace mestre {
namespace {

class Expansion {
 public:
  Expansion(const std::vector<Axis>& axes, const std::vector<Exclusion>& exclusions, std::vector<std::int64_t>& hits)
      : axes_(axes), exclusions_(exclusions), hits_(hits), cell_(axes.size(), -1) {
    grid_.axes = axes.size();
    hits_.assign(exclusions.size(), 0);
  }

  Grid run() {
    descend(0);
    return std::move(grid_);
  }

 private:
  // One level an axis; there are at most 32.
  void descend(std::size_t axis) {
    if (axis == axes_.size()) return keep();
    if (!matches(axes_[axis].where, cell_)) {
      cell_[axis] = -1;
      return descend(axis + 1);
    }
    const auto size = static_cast<std::int32_t>(axes_[axis].points.size());
    for (std::int32_t label = 0; label < size; ++label) {
      cell_[axis] = label;
      descend(axis + 1);
    }
    cell_[axis] = -1;
  }

  void keep() {
    bool excluded = false;
    for (std::size_t i = 0; i < exclusions_.size(); ++i) {
      if (!matches(exclusions_[i].where, cell_)) continue;
      ++hits_[i];
      excluded = true;
    }
    if (excluded) return;
    grid_.indices.insert(grid_.indices.end(), cell_.begin(), cell_.end());
    ++grid_.count;
  }

  const std::vector<Axis>& axes_;
  const std::vector<Exclusion>& exclusions_;
  std::vector<std::int64_t>& hits_;
  std::vector<std::int32_t> cell_;
  Grid grid_;
};

}  // namespace

bool matches(const Where& where, CellIndex cell) {
  if (!where.is_sound) return false;
  for (const Condition& condition : where.conditions) {
    const std::int32_t label = cell[condition.axis];
    if (label < 0 || !condition.allowed[static_cast<std::size_t>(label)]) return false;
  }
  return true;
}

std::int64_t grid_size(const std::vector<Axis>& axes) {
  std::int64_t product = 1;
  for (const Axis& axis : axes) {
    const auto size = static_cast<std::int64_t>(axis.points.size());
    if (__builtin_mul_overflow(product, size, &product)) return std::numeric_limits<std::int64_t>::max();
  }
  return product;
}

Grid expand(const std::vector<Axis>& axes, const std::vector<Exclusion>& exclusions, std::vector<std::int64_t>& hits) {
  return Expansion(axes, exclusions, hits).run();
}

}  // namespace mestre
