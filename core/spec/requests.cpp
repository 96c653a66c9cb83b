#include "core/spec/requests.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/spec/axes.h"
#include "core/spec/names.h"
#include "core/spec/option_reader.h"
#include "core/spec/where.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

std::vector<std::string> checkpoints_of(const Sweep& sweep) {
  std::vector<std::string> names = {kTrainName};
  for (const Stage& stage : sweep.stages) names.push_back(stage.name);
  return names;
}

// The name of a stage, or of the training itself. Nothing where it is none, which is reported.
std::optional<std::string> read_checkpoint(const TomlEntry& entry, const Sweep& sweep, Diagnostics& diagnostics) {
  const std::vector<std::string> known = checkpoints_of(sweep);
  const TomlValue& value = entry.value;
  if (value.is(Kind::kText) && std::find(known.begin(), known.end(), value.text) != known.end()) return value.text;
  diagnostics.error(value.where, fmt::format("no stage {} whose checkpoint could be read", shown(value)),
                    {expected_one_of(value.text, known), "a stage stands before those that go on from it"});
  return std::nullopt;
}

// What all jobs of a cell are called must differ: tables and queries name results by it. `noun`: "stage" …
void check_job_name(const std::string& name, Position place, std::string_view noun, const Sweep& sweep,
                    Diagnostics& diagnostics) {
  const auto with_article = [](std::string_view one) {
    return fmt::format("{} {}", one == "evaluation" ? "an" : "a", one);
  };
  if (name == kTrainName)
    diagnostics.error(place, fmt::format("{} called '{}'", with_article(noun), kTrainName),
                      {"expected another name; this one is the training's"});
  const auto complain = [&](std::string_view other, Position other_place) {
    const std::string both = other == noun ? fmt::format("two {}s are", noun)
                                           : fmt::format("{} and {} are both", with_article(other), with_article(noun));
    diagnostics.add({.severity = Severity::kError,
                     .where = place,
                     .message = fmt::format("{} called '{}'", both, escaped(name)),
                     .notes = {"expected names that differ; task = \"…\" or quantity = \"…\" says what is computed"},
                     .also = {other_place}});
  };
  for (const Stage& stage : sweep.stages)
    if (stage.name == name) return complain("stage", stage.place);
  for (const Request& request : sweep.requests) {
    const bool measures = request.type != nullptr && request.type->kind == TaskKind::kMeasurement;
    if (request.name == name) return complain(measures ? "measurement" : "evaluation", request.place);
  }
}

void read_stage(const TomlValue& table, Sweep& sweep, Diagnostics& diagnostics) {
  Stage stage;
  const TomlEntry* name = table.find("name");
  if (name == nullptr)
    return diagnostics.error(table.where, "a stage without a name", {"expected name = \"…\" below [[stage]]"});
  if (!check_name("the name of a stage", name->value, NameUse::kFolder, diagnostics)) return;
  stage.name = name->value.text;
  stage.place = name->value.where;
  check_job_name(stage.name, stage.place, "stage", sweep, diagnostics);
  stage.from = sweep.stages.empty() ? kTrainName : sweep.stages.back().name;
  if (const TomlEntry* from = table.find("from"))
    if (const auto known = read_checkpoint(*from, sweep, diagnostics)) stage.from = *known;
  if (const TomlEntry* where = table.find("where")) stage.where = read_where(*where, sweep.axes, diagnostics);
  if (const TomlEntry* continues = table.find("continues")) {
    if (continues->value.is(Kind::kBool))
      stage.continues = continues->value.boolean;
    else
      diagnostics.error(continues->value.where, fmt::format("continues cannot be {}", shown(continues->value)),
                        {"expected true or false: whether it goes on with the optimizer and the place in the data"});
  }
  stage.settings = read_cell_settings(table, {"name", "from", "where", "continues"}, "[[stage]]", diagnostics);
  settle_spellings(stage.settings, diagnostics);
  for (const Setting& setting : stage.settings)
    if (setting.section() == "model")
      diagnostics.error(
          setting.key_place(), fmt::format("'{}' in a stage", setting.written),
          {"expected options of data, resources and train; a stage goes on with the model that it finds"});
  if (stage.name != kTrainName) sweep.stages.push_back(std::move(stage));
}

// Reads one [[evaluate]] or [[measure]] table.
class RequestReader {
 public:
  RequestReader(const TomlValue& table, TaskKind kind, Sweep& sweep, Diagnostics& diagnostics)
      : table_(table),
        measures_(kind == TaskKind::kMeasurement),
        kind_(kind),
        sweep_(sweep),
        diagnostics_(diagnostics) {}

  void read() {
    const TomlEntry* name = table_.find("name");
    const TomlEntry* task = table_.find(measures_ ? "quantity" : "task");
    if (measures_ && task == nullptr)
      return diagnostics_.error(table_.where, "a measurement without a quantity",
                                {"expected quantity = \"…\" below [[measure]]"});
    if (!measures_ && name == nullptr)
      return diagnostics_.error(table_.where, "an evaluation without a name",
                                {"expected name = \"…\" below [[evaluate]]"});
    const TomlValue& called = name != nullptr ? name->value : task->value;
    if (!check_name(measures_ ? "the name of a measurement" : "the name of an evaluation", called, NameUse::kFolder,
                    diagnostics_))
      return;
    request_.name = called.text;
    request_.place = called.where;
    request_.checkpoint_place = called.where;
    if (const TomlEntry* where = table_.find("where")) request_.where = read_where(*where, sweep_.axes, diagnostics_);
    if (const TomlEntry* checkpoint = table_.find("checkpoint")) {
      request_.checkpoint_place = checkpoint->value.where;
      if (const auto known = read_checkpoint(*checkpoint, sweep_, diagnostics_)) request_.checkpoint = *known;
    }
    check_job_name(request_.name, request_.place, measures_ ? "measurement" : "evaluation", sweep_, diagnostics_);
    read_task(task != nullptr ? task->value : name->value);
    sweep_.requests.push_back(std::move(request_));
  }

 private:
  void read_task(const TomlValue& task) {
    const TaskType* type = task.is(Kind::kText) ? find_task_type(task.text) : nullptr;
    if (type == nullptr || type->kind != kind_) {
      std::vector<std::string> notes = {expected_one_of(task.text, task_type_names(kind_))};
      if (type != nullptr) notes.push_back(fmt::format("it belongs below [[{}]]", measures_ ? "evaluate" : "measure"));
      return diagnostics_.error(task.where, fmt::format("unknown {} {}", measures_ ? "quantity" : "task", shown(task)),
                                std::move(notes));
    }
    request_.type = type;
    const std::string owner = fmt::format("{} '{}'", measures_ ? "measurement" : "task", type->name);
    std::vector<Setting> settings;
    for (const TomlEntry& entry : table_.entries) {
      if (is_word(entry.key)) continue;
      const bool is_section = entry.key == "data" || entry.key == "resources";
      if (is_section && !entry.value.is(Kind::kTable)) {
        diagnostics_.error(
            entry.where, fmt::format("'{}' is a section, not an option", entry.key),
            {fmt::format("expected an option of it, such as {}",
                         entry.key == "data" ? "data.validation = \"….manifest\"" : "resources.gpus = 1")});
        continue;
      }
      for (Setting& setting : flatten(entry))
        if (!is_section || setting.path.size() > 1)
          (is_section ? request_.settings : settings).push_back(std::move(setting));
    }
    check_data();
    const int before = diagnostics_.error_count();
    std::shared_ptr<TaskOptions> options = type->make();
    if (!read_table(settings, 0, *options, request_.places, owner, table_.where, diagnostics_)) return;
    if (type->needs_checkpoint) options->check(problem_reporter(request_, diagnostics_));
    if (diagnostics_.error_count() == before) request_.options = std::move(options);
  }

  [[nodiscard]] bool is_word(const std::string& key) const {
    return key == "name" || key == "where" || key == "checkpoint" || key == (measures_ ? "quantity" : "task");
  }

  void check_data() {
    for (const Setting& setting : request_.settings)
      if (setting.dotted == "data.train" || setting.dotted == "data.train_digest")
        diagnostics_.error(setting.key_place(), fmt::format("'{}' where nothing is trained", setting.written),
                           {"expected data.validation, or data.task for text that a task makes"});
  }

  const TomlValue& table_;
  bool measures_;
  TaskKind kind_;
  Sweep& sweep_;
  Diagnostics& diagnostics_;
  Request request_;
};

}  // namespace

Problem problem_reporter(const Request& request, Diagnostics& diagnostics) {
  return [&](std::string_view field, std::string message, std::string expectation) {
    const auto place = request.places.find(field);
    diagnostics.error(place != request.places.end() ? place->second : request.place, std::move(message),
                      {std::move(expectation)});
  };
}

void read_stages(const TomlValue& list, Sweep& sweep, Diagnostics& diagnostics) {
  for (const TomlValue& table : list.elements) read_stage(table, sweep, diagnostics);
}

void read_requests(const TomlValue& list, TaskKind kind, Sweep& sweep, Diagnostics& diagnostics) {
  for (const TomlValue& table : list.elements) RequestReader(table, kind, sweep, diagnostics).read();
}

}  // namespace mestre
