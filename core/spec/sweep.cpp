#include "core/spec/sweep.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/spec/axes.h"
#include "core/spec/extends.h"
#include "core/spec/names.h"
#include "core/spec/option_reader.h"
#include "core/spec/requests.h"
#include "core/spec/solve.h"
#include "core/spec/where.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

const std::vector<std::string> kListParts = {"axis", "exclude", "when", "solve", "stage", "evaluate", "measure"};
const std::vector<std::string> kTableParts = {"sweep", "slurm",
                                              "worker"};  // besides the sections with settings of cells

class SweepReader {
 public:
  SweepReader(Sweep& sweep, Diagnostics& diagnostics) : sweep_(sweep), root_(*sweep.root), diagnostics_(diagnostics) {}

  void read() {
    for (const TomlEntry& entry : root_.entries) check_part(entry);
    read_header();
    for (const std::string& section : setting_sections()) read_section(section);
    settle_spellings(sweep_.settings, diagnostics_);
    if (const TomlValue* axes = list_of("axis")) read_axes(*axes, sweep_, diagnostics_);
    check_axes_apart(sweep_, diagnostics_);
    read_baseline();
    if (const TomlValue* list = list_of("exclude"))
      for (const TomlValue& table : list->elements) read_exclusion(table);
    if (const TomlValue* list = list_of("when"))
      for (const TomlValue& table : list->elements) read_override(table);
    if (const TomlValue* list = list_of("solve"))
      for (const TomlValue& table : list->elements)
        if (std::optional<SolveRequest> solve = read_solve(table, sweep_, diagnostics_))
          sweep_.solves.push_back(std::move(*solve));
    if (const TomlValue* list = list_of("stage")) read_stages(*list, sweep_, diagnostics_);
    if (const TomlValue* list = list_of("evaluate")) read_requests(*list, TaskKind::kEvaluation, sweep_, diagnostics_);
    if (const TomlValue* list = list_of("measure")) read_requests(*list, TaskKind::kMeasurement, sweep_, diagnostics_);
    (void)read_whole("slurm", sweep_.slurm);
    if (WorkerOptions worker; read_whole("worker", worker)) sweep_.worker = std::move(worker);
  }

 private:
  void check_part(const TomlEntry& entry) {
    const auto is_in = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), entry.key) != names.end();
    };
    if (is_in(kTableParts) || is_in(setting_sections())) {
      if (!entry.value.is(Kind::kTable))
        diagnostics_.error(entry.value.where, fmt::format("'{}' is not a table", entry.key),
                           {fmt::format("expected [{}] and its options below", entry.key)});
    } else if (is_in(kListParts)) {
      const auto& elements = entry.value.elements;
      const bool good =
          entry.value.is(Kind::kList) &&
          std::all_of(elements.begin(), elements.end(), [](const TomlValue& one) { return one.is(Kind::kTable); });
      if (!good)
        diagnostics_.error(entry.value.where, fmt::format("'{}' is not a list of tables", entry.key),
                           {fmt::format("expected [[{}]], in double brackets", entry.key)});
    } else {
      std::vector<std::string> known = kTableParts;
      known.emplace_back("extends");
      known.insert(known.end(), setting_sections().begin(), setting_sections().end());
      known.insert(known.end(), kListParts.begin(), kListParts.end());
      diagnostics_.error(entry.where, fmt::format("unknown section '{}'", escaped(entry.key)),
                         {expected_one_of(entry.key, known)});
    }
  }

  [[nodiscard]] const TomlEntry* table_of(const std::string& key) const {
    const TomlEntry* entry = root_.find(key);
    return entry != nullptr && entry->value.is(Kind::kTable) ? entry : nullptr;
  }

  // The list under `key` where it is a sound list of tables.
  [[nodiscard]] const TomlValue* list_of(const std::string& key) const {
    const TomlEntry* entry = root_.find(key);
    if (entry == nullptr || !entry->value.is(Kind::kList)) return nullptr;
    const auto& elements = entry->value.elements;
    return std::all_of(elements.begin(), elements.end(), [](const TomlValue& one) { return one.is(Kind::kTable); })
               ? &entry->value
               : nullptr;
  }

  void read_header() {
    const TomlEntry* entry = table_of("sweep");
    if (entry == nullptr) {
      if (root_.find("sweep") != nullptr) return;
      return diagnostics_.error({.file = root_.where.file}, "no [sweep] in this file",
                                {"expected [sweep] with a name, as experiments/quickstart.toml has it"});
    }
    const TomlValue& table = entry->value;
    std::vector<Setting> settings;
    for (const TomlEntry& child : table.entries) {
      if (child.key == "baseline") continue;
      for (const Setting& setting : flatten(child)) settings.push_back(setting);
    }
    for (Setting& setting : settings) setting.written = "sweep." + setting.written;
    std::map<std::string, Position, std::less<>> places;
    read_table(settings, 0, sweep_.options, places, "[sweep]", table.where, diagnostics_);
    if (const TomlEntry* name = table.find("name"); name != nullptr && name->value.is(Kind::kText))
      (void)check_name("sweep.name", name->value, NameUse::kFolder, diagnostics_);
  }

  void read_section(const std::string& section) {
    const TomlEntry* entry = table_of(section);
    if (entry == nullptr) return;
    sweep_.sections[section] = entry->value.where;
    for (Setting& setting : flatten(*entry))
      if (setting.path.size() > 1) sweep_.settings.push_back(std::move(setting));
  }

  void read_baseline() {
    const TomlEntry* header = table_of("sweep");
    const TomlEntry* entry = header != nullptr ? header->value.find("baseline") : nullptr;
    if (entry == nullptr) return;
    const Where where = read_where(*entry, sweep_.axes, diagnostics_);
    for (const Condition& condition : where.conditions) {
      const Axis& axis = sweep_.axes[condition.axis];
      const auto count = std::count(condition.allowed.begin(), condition.allowed.end(), true);
      if (count > 1)
        diagnostics_.error(entry->value.where,
                           fmt::format("{} labels of axis '{}' in the baseline", count, escaped(axis.name)),
                           {"expected one label an axis"});
      const auto first =
          std::find(condition.allowed.begin(), condition.allowed.end(), true) - condition.allowed.begin();
      if (count > 0) sweep_.baseline.emplace_back(axis.name, axis.points[static_cast<std::size_t>(first)].label);
    }
  }

  Where required_where(const TomlValue& table, const std::string& owner) {
    const TomlEntry* where = table.find("where");
    if (where != nullptr) return read_where(*where, sweep_.axes, diagnostics_);
    diagnostics_.error(table.where, fmt::format("{} without a where", owner),
                       {"expected labels by axis, such as where = { architecture = \"Samba\" }"});
    return {.conditions = {}, .place = table.where, .is_sound = false};
  }

  void read_exclusion(const TomlValue& table) {
    for (const TomlEntry& entry : table.entries)
      if (entry.key != "where")
        diagnostics_.error(entry.where, fmt::format("unknown key '{}' in [[exclude]]", escaped(entry.key)),
                           {expected_one_of(entry.key, {"where"})});
    sweep_.exclusions.push_back({required_where(table, "[[exclude]]")});
  }

  void read_override(const TomlValue& table) {
    Override read{.where = required_where(table, "[[when]]"),
                  .settings = read_cell_settings(table, {"where"}, "[[when]]", diagnostics_)};
    settle_spellings(read.settings, diagnostics_);
    sweep_.overrides.push_back(std::move(read));
  }

  // [slurm] or [worker]: options that no cell changes. False where there is no such table, or a mistake in it.
  template <class T>
  bool read_whole(const std::string& key, T& options) {
    const TomlEntry* entry = table_of(key);
    if (entry == nullptr) return false;
    std::vector<Setting> settings;
    for (Setting& setting : flatten(*entry))
      if (setting.path.size() > 1) settings.push_back(std::move(setting));
    std::map<std::string, Position, std::less<>> places;
    const int before = diagnostics_.error_count();
    if (!read_table(settings, 1, options, places, "[" + key + "]", entry->value.where, diagnostics_)) return false;
    options.check([&](std::string_view field, std::string message, std::string expectation) {
      const auto place = places.find(field);
      diagnostics_.error(place != places.end() ? place->second : entry->value.where, std::move(message),
                         {std::move(expectation)});
    });
    return diagnostics_.error_count() == before;
  }

  Sweep& sweep_;
  const TomlValue& root_;
  Diagnostics& diagnostics_;
};

}  // namespace

void SweepOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "name", .doc = "of the sweep; names its folder and its tables", .required = true}, name);
  visitor.visit({.name = "question", .doc = "what the sweep is to answer"}, question);
  visitor.visit(
      {.name = "max_jobs", .doc = "a grid with more cells is refused", .unit = Unit::kCount, .min = 1, .max = 1e7},
      max_jobs);
  visitor.visit(
      {.name = "budget", .doc = "a sweep whose estimate exceeds it is refused", .unit = Unit::kGpuHours, .min = 0},
      budget);
  visitor.visit({.name = "parameter_tolerance", .doc = "share by which a cell may differ in parameters", .min = 0},
                parameter_tolerance);
}

const std::vector<std::string>& setting_sections() {
  static const std::vector<std::string> names = {"data", "model", "resources", "train"};
  return names;
}

std::optional<Sweep> read_sweep(int file, Diagnostics& diagnostics) {
  Sweep sweep;
  std::optional<TomlValue> root = parse_with_parents(file, sweep.files, diagnostics);
  if (!root) return std::nullopt;
  if (root->entries.empty()) {
    diagnostics.error({.file = file}, "nothing is in this file",
                      {"expected a sweep; experiments/quickstart.toml is one"});
    return std::nullopt;
  }
  sweep.root = std::make_unique<const TomlValue>(std::move(*root));
  SweepReader(sweep, diagnostics).read();
  return sweep;
}

}  // namespace mestre
