#include "core/spec/sweep_parts.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/units.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

// Why a text cannot be a name; empty where it can.
std::string fault_of_name(std::string_view name, NameUse use) {
  constexpr std::size_t kLongest = 100;
  if (name.empty()) return "is empty";
  if (name.size() > kLongest) return fmt::format("is {} bytes long", name.size());
  if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
    return "contains a control character";
  if (name.front() == ' ' || name.back() == ' ') return "begins or ends with a space";
  if (use == NameUse::kLabel) return name.find_first_of(",=") != std::string_view::npos ? "contains ',' or '='" : "";
  if (name.find_first_of("/\\") != std::string_view::npos) return "contains a slash";
  return name.front() == '-' || name.front() == '.' ? fmt::format("begins with '{}'", name.front()) : "";
}

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

// Reads one [[axis]] table.
class AxisReader {
 public:
  AxisReader(const TomlValue& table, Sweep& sweep, Diagnostics& diagnostics)
      : table_(table), sweep_(sweep), diagnostics_(diagnostics) {}

  void read() {
    axis_.place = table_.where;
    const std::vector<Setting> settings =
        read_cell_settings(table_, {"name", "where", "cell", "labels"}, "[[axis]]", diagnostics_);
    const TomlEntry* cells = table_.find("cell");
    name_axis(settings);
    if (const TomlEntry* where = table_.find("where"))
      axis_.where = read_where(*where, sweep_.axes, sweep_.axes.size(), diagnostics_);
    if (cells != nullptr && !settings.empty()) {
      diagnostics_.add(
          {.severity = Severity::kError,
           .where = settings.front().key_place(),
           .message = "an axis with both lists of values and [[axis.cell]]",
           .notes = {"expected one or the other; what several cells share stands in the sweep's own tables"},
           .also = {cells->value.where}});
    } else if (cells != nullptr) {
      read_cells(cells->value);
    } else if (!settings.empty()) {
      zip(settings);
    } else {
      diagnostics_.error(axis_.place, "an axis without values",
                         {"expected a list such as train.seed = [1, 2, 3], or [[axis.cell]] tables"});
    }
    check_labels();
    sweep_.axes.push_back(std::move(axis_));
  }

 private:
  void name_axis(const std::vector<Setting>& settings) {
    if (const TomlEntry* name = table_.find("name")) {
      if (check_name("the name of an axis", name->value, NameUse::kLabel, diagnostics_)) axis_.name = name->value.text;
    } else if (!settings.empty()) {
      axis_.name = settings.front().path.back().name;
    } else if (table_.find("cell") != nullptr) {
      diagnostics_.error(axis_.place, "an axis of cells without a name", {"expected name = \"…\" below [[axis]]"});
    }
  }

  void read_cells(const TomlValue& cells) {
    if (!cells.is(Kind::kList))
      return diagnostics_.error(cells.where, "[axis.cell] stands for one cell only",
                                {"expected [[axis.cell]], in double brackets"});
    for (const TomlValue& cell : cells.elements) {
      if (!cell.is(Kind::kTable)) {
        diagnostics_.error(cell.where, "a cell is a table", {"expected [[axis.cell]] with a label and settings"});
        continue;
      }
      AxisPoint point{.label = {},
                      .place = cell.where,
                      .settings = read_cell_settings(cell, {"label"}, "[[axis.cell]]", diagnostics_)};
      const TomlEntry* label = cell.find("label");
      if (label == nullptr) {
        diagnostics_.error(cell.where, "a cell without a label", {"expected label = \"…\""});
      } else if (check_name("the label of a cell", label->value, NameUse::kLabel, diagnostics_)) {
        point.label = label->value.text;
        point.place = label->value.where;
      }
      settle_seeds(point.settings, diagnostics_);
      axis_.points.push_back(std::move(point));
    }
    if (cells.elements.empty())
      diagnostics_.error(axis_.place, "an axis without values", {"expected [[axis.cell]] tables"});
  }

  // Lists of equal length: the i-th values together are one point.
  void zip(const std::vector<Setting>& settings) {
    const Setting& first = settings.front();
    for (const Setting& setting : settings) {
      if (!setting.value->is(Kind::kList)) {
        return diagnostics_.error(
            setting.value->where, fmt::format("'{}' has one value in an axis", setting.dotted),
            {fmt::format("expected a list such as [{}]; what is the same for every cell stands in [{}]",
                         shown(*setting.value), setting.section())});
      }
      const std::size_t count = setting.value->elements.size();
      const std::size_t wanted = first.value->is(Kind::kList) ? first.value->elements.size() : count;
      if (count == 0)
        return diagnostics_.error(setting.value->where, fmt::format("the list of '{}' is empty", setting.dotted),
                                  {"expected at least one value"});
      if (count != wanted) {
        return diagnostics_.add(
            {.severity = Severity::kError,
             .where = setting.value->where,
             .message = fmt::format("{} values of '{}' beside {} of '{}'", count, setting.dotted, wanted, first.dotted),
             .notes = {"expected lists of equal length, since the keys of one axis move together; for every "
                       "combination make two axes"},
             .also = {first.value->where}});
      }
    }
    const std::vector<const TomlValue*> labels = values_for_labels(first);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      AxisPoint point{.label = {}, .place = labels[i]->where, .settings = {}};
      const std::optional<std::string> label = label_of(*labels[i]);
      if (!label) {
        diagnostics_.error(labels[i]->where, fmt::format("{} cannot be a label", name_of(labels[i]->kind)),
                           {"expected labels = [\"…\", …] below [[axis]]"});
      } else {
        point.label = *label;
      }
      for (const Setting& setting : settings) {
        Setting one = setting;
        one.value = &setting.value->elements[i];
        point.settings.push_back(std::move(one));
      }
      settle_seeds(point.settings, diagnostics_);
      axis_.points.push_back(std::move(point));
    }
  }

  // labels = […] where given, else the values of the first key.
  std::vector<const TomlValue*> values_for_labels(const Setting& first) {
    std::vector<const TomlValue*> values;
    for (const TomlValue& value : first.value->elements) values.push_back(&value);
    const TomlEntry* labels = table_.find("labels");
    if (labels == nullptr) return values;
    if (!labels->value.is(Kind::kList) || labels->value.elements.size() != values.size()) {
      diagnostics_.error(labels->value.where, fmt::format("labels for {} values", values.size()),
                         {fmt::format("expected a list of {} texts", values.size())});
      return values;
    }
    for (std::size_t i = 0; i < values.size(); ++i)
      if (check_name("a label", labels->value.elements[i], NameUse::kLabel, diagnostics_))
        values[i] = &labels->value.elements[i];
    return values;
  }

  void check_labels() {
    std::map<std::string, Position> seen;
    for (const AxisPoint& point : axis_.points) {
      if (point.label.empty()) continue;  // reported
      const std::string fault = fault_of_name(point.label, NameUse::kLabel);
      if (!fault.empty())
        diagnostics_.error(point.place, fmt::format("the label '{}' {}", escaped(point.label), fault),
                           {"expected another label; labels = [\"…\", …] names values"});
      const auto [first, is_new] = seen.emplace(point.label, point.place);
      if (is_new) continue;
      diagnostics_.add(
          {.severity = Severity::kError,
           .where = point.place,
           .message = fmt::format("label '{}' stands twice in axis '{}'", escaped(point.label), escaped(axis_.name)),
           .notes = {"expected each label once"},
           .also = {first->second}});
    }
  }

  const TomlValue& table_;
  Sweep& sweep_;
  Diagnostics& diagnostics_;
  Axis axis_;
};

// Whether no cell can have both: some axis on which they allow no common label.
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

}  // namespace

bool check_name(const std::string& what, const TomlValue& value, NameUse use, Diagnostics& diagnostics) {
  if (!value.is(Kind::kText)) {
    diagnostics.error(value.where, fmt::format("{} cannot be {}", what, shown(value)), {"expected text in quotes"});
    return false;
  }
  const std::string fault = fault_of_name(value.text, use);
  if (fault.empty()) return true;
  diagnostics.error(
      value.where, fmt::format("{} {}", what, fault),
      {use == NameUse::kFolder
           ? "expected a name that can be a folder's: at most 100 characters, no slash, no leading dash or dot"
           : "expected at most 100 characters on one line, without ',' and '=', which select cells"});
  return false;
}

std::optional<std::string> label_of(const TomlValue& value) {
  switch (value.kind) {
    case Kind::kBool:
      return value.boolean ? "true" : "false";
    case Kind::kInteger:
      return std::to_string(value.integer);
    case Kind::kFloat:
      return shortest(value.number);
    case Kind::kText:
      return value.text;
    case Kind::kDate:
    case Kind::kTable:
      return std::nullopt;
    case Kind::kList:
      break;
  }
  std::string text;
  for (const TomlValue& element : value.elements) {
    const std::optional<std::string> label = label_of(element);
    if (!label) return std::nullopt;
    text += (text.empty() ? "" : "+") + *label;
  }
  return text.empty() ? "none" : text;
}

Where read_where(const TomlEntry& entry, const std::vector<Axis>& axes, std::size_t count, Diagnostics& diagnostics) {
  Where where{.conditions = {}, .place = entry.where};
  if (!entry.value.is(Kind::kTable) || entry.value.entries.empty()) {
    diagnostics.error(entry.value.where, "where names no axis",
                      {"expected labels by axis, such as where = { architecture = \"Samba\" }"});
    return where;
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(axes[i].name);
  for (const TomlEntry& one : entry.value.entries) {
    const auto found = std::find(names.begin(), names.end(), one.key);
    if (found == names.end()) {
      diagnostics.error(
          one.where, fmt::format("no axis '{}' stands before this", escaped(one.key)),
          {names.empty() ? "expected an axis that was declared further up" : expected_one_of(one.key, names)});
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
  return where;
}

void read_axes(const TomlValue& list, Sweep& sweep, Diagnostics& diagnostics) {
  constexpr std::size_t kMostAxes = 32;
  const int before = diagnostics.error_count();
  for (const TomlValue& table : list.elements) {
    if (sweep.axes.size() == kMostAxes) {
      diagnostics.error(table.where, "more than 32 axes", {"expected keys that move together in one axis"});
      break;
    }
    AxisReader(table, sweep, diagnostics).read();
  }
  std::map<std::string, Position> seen;
  for (const Axis& axis : sweep.axes) {
    const auto [first, is_new] = seen.emplace(axis.name, axis.place);
    if (is_new || axis.name.empty()) continue;
    diagnostics.add({.severity = Severity::kError,
                     .where = axis.place,
                     .message = fmt::format("two axes are called '{}'", escaped(axis.name)),
                     .notes = {"expected names that differ; name = \"…\" below [[axis]] gives another"},
                     .also = {first->second}});
  }
  sweep.axes_are_sound = diagnostics.error_count() == before;
}

void check_axes_apart(Sweep& sweep, Diagnostics& diagnostics) {
  struct First {
    std::size_t axis;
    const Setting* setting;
  };
  std::map<std::string, std::vector<First>> setters;
  for (std::size_t a = 0; a < sweep.axes.size(); ++a) {
    for (const AxisPoint& point : sweep.axes[a].points) {
      for (const Setting& setting : point.settings) {
        std::vector<First>& others = setters[setting.dotted];
        if (!others.empty() && others.back().axis == a) continue;
        for (const First& other : others) {
          if (are_disjoint(sweep.axes[other.axis].where, sweep.axes[a].where)) continue;
          diagnostics.add(
              {.severity = Severity::kError,
               .where = setting.key_place(),
               .message = fmt::format("axes '{}' and '{}' both set '{}'", escaped(sweep.axes[other.axis].name),
                                      escaped(sweep.axes[a].name), setting.dotted),
               .notes = {"expected each option in one axis; keys that move together stand in the same axis"},
               .also = {other.setting->key_place()}});
          sweep.axes_are_sound = false;
          break;
        }
        others.push_back({a, &setting});
      }
    }
  }
}

std::vector<Setting> read_cell_settings(const TomlValue& table, const std::vector<std::string>& others,
                                        const std::string& owner, Diagnostics& diagnostics) {
  const std::vector<std::string>& sections = setting_sections();
  std::vector<Setting> settings;
  for (const TomlEntry& entry : table.entries) {
    if (std::find(others.begin(), others.end(), entry.key) != others.end()) continue;
    if (std::find(sections.begin(), sections.end(), entry.key) == sections.end()) {
      std::vector<std::string> known = others;
      known.insert(known.end(), sections.begin(), sections.end());
      diagnostics.error(entry.where, fmt::format("unknown key '{}' in {}", escaped(entry.key), owner),
                        {expected_one_of(entry.key, known)});
      continue;
    }
    if (!entry.value.is(Kind::kTable)) {
      diagnostics.error(entry.where, fmt::format("'{}' is a section, not an option", entry.key),
                        {fmt::format("expected an option of it, such as {}.… = …", entry.key)});
      continue;
    }
    for (Setting& setting : flatten(entry)) {
      if (setting.path.size() > 1) settings.push_back(std::move(setting));
    }
  }
  std::stable_sort(settings.begin(), settings.end(),
                   [](const Setting& a, const Setting& b) { return a.key_place() < b.key_place(); });
  return settings;
}

}  // namespace mestre
