#include "core/plan/scope.h"

#include <algorithm>
#include <utility>

namespace mestre {

SectionScope::SectionScope(const Sweep& sweep, std::string section)
    : sweep_(sweep), section_(std::move(section)), base_(own(sweep.settings)), depends_(sweep.axes.size(), false) {
  for (std::size_t a = 0; a < sweep.axes.size(); ++a) {
    AxisPart part{.axis = a, .points = {}};
    bool sets = false;
    for (const AxisPoint& point : sweep.axes[a].points) {
      part.points.push_back(own(point.settings));
      sets = sets || !part.points.back().empty();
    }
    if (!sets) continue;
    axes_.push_back(std::move(part));
    depend_on(a);
  }
  for (const Override& over : sweep.overrides) {
    OverridePart part{.where = &over.where, .settings = own(over.settings)};
    if (part.settings.empty()) continue;
    overrides_.push_back(std::move(part));
    for (const Condition& condition : over.where.conditions) depend_on(condition.axis);
  }
}

std::vector<const Setting*> SectionScope::own(const std::vector<Setting>& settings) const {
  std::vector<const Setting*> chosen;
  for (const Setting& setting : settings)
    if (setting.section() == section_) chosen.push_back(&setting);
  return chosen;
}

void SectionScope::depend_on(const SectionScope& other) {
  for (std::size_t a = 0; a < depends_.size(); ++a) depends_[a] = depends_[a] || other.depends_[a];
}

void SectionScope::depend_on(std::size_t axis) {
  depends_[axis] = true;
}

std::uint64_t SectionScope::key(CellIndex cell) const {
  // A mixed-radix number. It fits: the product of the sizes is at most max_jobs, and of the up to 32 axes each adds one
  // state for its absence.
  std::uint64_t key = 0;
  for (std::size_t a = 0; a < depends_.size(); ++a) {
    if (!depends_[a]) continue;
    const Axis& axis = sweep_.axes[a];
    const bool may_be_absent = !axis.where.conditions.empty();
    key = key * (axis.points.size() + (may_be_absent ? 1 : 0)) +
          static_cast<std::uint64_t>(cell[a] + (may_be_absent ? 1 : 0));
  }
  return key;
}

std::vector<const Setting*> SectionScope::settings(CellIndex cell) const {
  std::vector<const Setting*> settings = base_;
  for (const AxisPart& part : axes_) {
    const std::int32_t label = cell[part.axis];
    if (label < 0) continue;
    for (const Setting* setting : part.points[static_cast<std::size_t>(label)]) overlay(settings, *setting);
  }
  for (const OverridePart& part : overrides_) {
    if (!matches(*part.where, cell)) continue;
    for (const Setting* setting : part.settings) overlay(settings, *setting);
  }
  return settings;
}

std::vector<const Setting*> SectionScope::all_settings() const {
  std::vector<const Setting*> settings = base_;
  for (const AxisPart& part : axes_)
    for (const auto& point : part.points) settings.insert(settings.end(), point.begin(), point.end());
  for (const OverridePart& part : overrides_)
    settings.insert(settings.end(), part.settings.begin(), part.settings.end());
  return settings;
}

}  // namespace mestre
