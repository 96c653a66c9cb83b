#include "core/spec/sweep.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/spec/axes.h"
#include "core/spec/names.h"
#include "core/spec/option_reader.h"
#include "core/spec/where.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

const std::vector<std::string> kListParts = {"axis", "exclude", "when", "evaluate"};
const std::vector<std::string> kLaterParts = {"solve", "stage", "measure", "slurm", "worker", "extends"};

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
    if (const TomlValue* list = list_of("evaluate"))
      for (const TomlValue& table : list->elements) read_evaluation(table);
  }

 private:
  void check_part(const TomlEntry& entry) {
    const auto is_in = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), entry.key) != names.end();
    };
    if (entry.key == "sweep" || is_in(setting_sections())) {
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
    } else if (is_in(kLaterParts)) {
      diagnostics_.error(entry.where, fmt::format("'{}' is not supported yet", entry.key),
                         {"expected a sweep without it; a later version of mestre reads it"});
    } else {
      std::vector<std::string> known = {"sweep"};
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
    const OptionSchema schema(sweep_.options);
    std::vector<Setting> settings;
    for (const TomlEntry& child : table.entries) {
      if (child.key == "baseline") continue;
      for (const Setting& setting : flatten(child)) settings.push_back(setting);
    }
    std::vector<const Setting*> pointers;
    for (Setting& setting : settings) {
      setting.written = "sweep." + setting.written;
      pointers.push_back(&setting);
    }
    const std::vector<ReadSetting> read = read_settings(schema, pointers, 0, "[sweep]", diagnostics_);
    std::vector<const ReadSetting*> chosen;
    for (const ReadSetting& one : read) chosen.push_back(&one);
    std::vector<const Setting*> sources;
    apply_settings(schema, chosen, sweep_.options, sources, "[sweep]", table.where, diagnostics_);
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

  void read_evaluation(const TomlValue& table) {
    EvaluationRequest evaluation{.name = {}, .place = table.where, .options = nullptr, .where = {}};
    const TomlEntry* name = table.find("name");
    const TomlEntry* task = table.find("task");
    if (name == nullptr)
      return diagnostics_.error(table.where, "an evaluation without a name",
                                {"expected name = \"…\" below [[evaluate]]"});
    if (!check_name("the name of an evaluation", name->value, NameUse::kFolder, diagnostics_)) return;
    evaluation.name = name->value.text;
    evaluation.place = name->value.where;
    if (const TomlEntry* where = table.find("where")) evaluation.where = read_where(*where, sweep_.axes, diagnostics_);
    if (const TomlEntry* checkpoint = table.find("checkpoint");
        checkpoint != nullptr && checkpoint->value.text != "train")
      diagnostics_.error(checkpoint->value.where, "checkpoints of stages are not supported yet",
                         {"expected \"train\", or no checkpoint at all"});
    check_evaluation_name(evaluation);
    read_task(table, task != nullptr ? task->value : name->value, evaluation);
    sweep_.evaluations.push_back(std::move(evaluation));
  }

  void check_evaluation_name(const EvaluationRequest& evaluation) {
    if (evaluation.name == "train")
      diagnostics_.error(evaluation.place, "an evaluation called 'train'",
                         {"expected another name; this one is the training's"});
    for (const EvaluationRequest& other : sweep_.evaluations) {
      if (other.name != evaluation.name) continue;
      diagnostics_.add({.severity = Severity::kError,
                        .where = evaluation.place,
                        .message = fmt::format("two evaluations are called '{}'", escaped(evaluation.name)),
                        .notes = {"expected names that differ; task = \"…\" says what is scored"},
                        .also = {other.place}});
    }
  }

  void read_task(const TomlValue& table, const TomlValue& task, EvaluationRequest& evaluation) {
    const TaskType* type = task.is(Kind::kText) ? find_task_type(task.text) : nullptr;
    if (type == nullptr)
      return diagnostics_.error(task.where, fmt::format("unknown task {}", shown(task)),
                                {expected_one_of(task.text, task_type_names())});
    const std::unique_ptr<TaskOptions> options = type->make();
    const OptionSchema schema(*options);
    const std::string owner = fmt::format("task '{}'", type->name);
    std::vector<Setting> settings;
    for (const TomlEntry& entry : table.entries) {
      if (entry.key == "name" || entry.key == "task" || entry.key == "where" || entry.key == "checkpoint") continue;
      for (const Setting& setting : flatten(entry)) settings.push_back(setting);
    }
    std::vector<const Setting*> pointers;
    for (const Setting& setting : settings) pointers.push_back(&setting);
    const std::vector<ReadSetting> read = read_settings(schema, pointers, 0, owner, diagnostics_);
    std::vector<const ReadSetting*> chosen;
    for (const ReadSetting& one : read) chosen.push_back(&one);
    std::vector<const Setting*> sources;
    if (!apply_settings(schema, chosen, *options, sources, owner, table.where, diagnostics_)) return;
    const int before = diagnostics_.error_count();
    options->check([&](std::string_view field, std::string message, std::string expectation) {
      const int index = schema.find(field);
      const Setting* source = index >= 0 ? sources[static_cast<std::size_t>(index)] : nullptr;
      diagnostics_.error(source != nullptr ? source->value->where : table.where, std::move(message),
                         {std::move(expectation)});
    });
    if (diagnostics_.error_count() == before) evaluation.options = options->clone();
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
}

const std::vector<std::string>& setting_sections() {
  static const std::vector<std::string> names = {"data", "model", "resources", "train"};
  return names;
}

std::optional<Sweep> read_sweep(int file, Diagnostics& diagnostics) {
  std::optional<TomlValue> root = parse_toml(file, diagnostics);
  if (!root) return std::nullopt;
  if (root->entries.empty()) {
    diagnostics.error({.file = file}, "nothing is in this file",
                      {"expected a sweep; experiments/quickstart.toml is one"});
    return std::nullopt;
  }
  Sweep sweep;
  sweep.root = std::make_unique<const TomlValue>(std::move(*root));
  SweepReader(sweep, diagnostics).read();
  return sweep;
}

}  // namespace mestre
