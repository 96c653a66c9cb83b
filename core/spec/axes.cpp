#include "core/spec/axes.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/spec/names.h"
#include "core/spec/where.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

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
    if (const TomlEntry* where = table_.find("where")) axis_.where = read_where(*where, sweep_.axes, diagnostics_);
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
      settle_spellings(point.settings, diagnostics_);
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
      settle_spellings(point.settings, diagnostics_);
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

}  // namespace

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
