#include "core/spec/where.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/spec/names.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

std::vector<std::string> labels_of(const Axis& axis) {
  std::vector<std::string> labels;
  for (const AxisPoint& point : axis.points) labels.push_back(point.label);
  return labels;
}

// Marks the label that `value` names as allowed.
void allow(const TomlValue& value, const Axis& axis, Condition& condition, Diagnostics& diagnostics) {
  const std::optional<std::string> label = label_of(value);
  const std::vector<std::string> labels = labels_of(axis);
  const auto found = label ? std::find(labels.begin(), labels.end(), *label) : labels.end();
  if (found != labels.end()) {
    condition.allowed[static_cast<std::size_t>(found - labels.begin())] = true;
    return;
  }
  diagnostics.error(value.where, fmt::format("axis '{}' has no label {}", escaped(axis.name), shown(value)),
                    {expected_one_of(label.value_or(""), labels)});
}

}  // namespace

Where read_where(const TomlEntry& entry, const std::vector<Axis>& axes, Diagnostics& diagnostics) {
  const int before = diagnostics.error_count();
  Where where{.conditions = {}, .place = entry.where};
  if (!entry.value.is(Kind::kTable) || entry.value.entries.empty()) {
    diagnostics.error(entry.value.where, "where names no axis",
                      {"expected labels by axis, such as where = { architecture = \"Samba\" }"});
    where.is_sound = false;
    return where;
  }
  std::vector<std::string> names;
  for (const Axis& axis : axes) names.push_back(axis.name);
  for (const TomlEntry& one : entry.value.entries) {
    const auto found = std::find(names.begin(), names.end(), one.key);
    if (found == names.end()) {
      diagnostics.error(one.where, fmt::format("no axis '{}' to choose by", escaped(one.key)),
                        {names.empty() ? "expected an axis, declared further up" : expected_one_of(one.key, names)});
      continue;
    }
    const auto index = static_cast<std::size_t>(found - names.begin());
    Condition condition{.axis = index, .allowed = std::vector<bool>(axes[index].points.size(), false)};
    if (one.value.is(Kind::kList)) {
      for (const TomlValue& value : one.value.elements) allow(value, axes[index], condition, diagnostics);
    } else {
      allow(one.value, axes[index], condition, diagnostics);
    }
    where.conditions.push_back(std::move(condition));
  }
  where.is_sound = diagnostics.error_count() == before;
  return where;
}

bool are_disjoint(const Where& a, const Where& b) {
  for (const Condition& one : a.conditions) {
    for (const Condition& other : b.conditions) {
      if (one.axis != other.axis) continue;
      bool common = false;
      for (std::size_t i = 0; i < one.allowed.size(); ++i) common = common || (one.allowed[i] && other.allowed[i]);
      if (!common) return true;
    }
  }
  return false;
}

}  // namespace mestre
