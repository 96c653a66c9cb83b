#include "runners/cli/plan_why.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/table.h"
#include "core/base/error.h"
#include "core/base/units.h"
#include "core/plan/explain.h"
#include "core/plan/plan_diff.h"
#include "runners/cli/dispatch.h"
#include "runners/cli/output.h"
#include "runners/cli/plan_context.h"
#include "runners/cli/plan_table.h"
#include "store/database.h"
#include "store/ledger.h"

namespace mestre {
namespace {

using nlohmann::json;

// Calls `use` with the ledger; nothing is done where there is no store yet.
void with_ledger(const Globals& globals, const auto& use) {
  try {
    Database database = Database::open_for_reading(globals.database_path());
    Ledger ledger(database);
    use(ledger);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
  }
}

// {"train":{"tokens":5}} as {"train.tokens":"5"}; a model's instances as files write them ("model.swa.window").
void flatten(const json& value, const std::string& path, std::map<std::string, std::string>& out) {
  if (!value.is_object()) {
    out[path] = value.is_string() ? value.get<std::string>() : value.dump();
    return;
  }
  for (const auto& [key, member] : value.items()) {
    const bool is_frame = path.starts_with("model") && (key == "instances" || key == "options");
    flatten(member, is_frame ? path : path.empty() ? key : fmt::format("{}.{}", path, key), out);
  }
}

// "train.learning_rate 0.0004 -> 0.001"
std::vector<std::string> changes_between(const std::string& before, const std::string& after) {
  std::map<std::string, std::string> old_options;
  std::map<std::string, std::string> new_options;
  flatten(json::parse(before, nullptr, false), "", old_options);
  flatten(json::parse(after, nullptr, false), "", new_options);
  std::vector<std::string> changes;
  for (const auto& [option, value] : old_options) {
    const auto now = new_options.find(option);
    if (now == new_options.end()) {
      changes.push_back(fmt::format("{} {} -> none", option, value));
    } else if (now->second != value) {
      changes.push_back(fmt::format("{} {} -> {}", option, value, now->second));
    }
  }
  for (const auto& [option, value] : new_options)
    if (!old_options.contains(option)) changes.push_back(fmt::format("{} none -> {}", option, value));
  return changes;
}

std::string attempts_of(const JobDetail& job) {
  if (job.attempts.empty()) return "not started yet";
  const AttemptDetail& last = job.attempts.back();
  if (last.outcome == "finished") return fmt::format("finished on attempt {}", last.number);
  if (last.outcome == "failed") return fmt::format("failed on attempt {}: {}", last.number, last.cause);
  if (last.outcome == "killed")
    return fmt::format("attempt {} was killed; it goes on from its last checkpoint", last.number);
  return fmt::format("attempt {} is running on {}", last.number, last.host);
}

std::string reason_of(const Plan& plan, const PlannedJob& job, const Globals& globals) {
  if (job.provisional) return "its data are not there yet, so its id is provisional";
  std::string reason;
  with_ledger(globals, [&](Ledger& ledger) { reason = attempts_of(ledger.job(job.id)); });
  if (reason.empty()) reason = "no job with this id was ever wanted";
  const auto waits =
      std::find_if(job.needs.begin(), job.needs.end(), [&](std::size_t one) { return !plan.jobs[one].finished; });
  return !job.finished && waits != job.needs.end() ? fmt::format("{}; waits for {}", reason, plan.jobs[*waits].name)
                                                   : reason;
}

std::string jobs_table(const Plan& plan, const PlannedCell& cell, const Globals& globals) {
  Table table{.columns = {{.title = "job"}, {.title = "id"}, {.title = "state"}, {.title = "why"}}};
  for (const std::size_t index : cell.jobs) {
    const PlannedJob& job = plan.jobs[index];
    table.add({job.name, job.id, job.finished ? "done" : "to run", reason_of(plan, job, globals)});
  }
  return to_text(table, 120);
}

std::vector<RecordedCell> recorded_cells(const std::string& sweep, const Globals& globals) {
  std::vector<RecordedCell> cells;
  with_ledger(globals, [&](Ledger& ledger) { cells = ledger.recorded_cells(sweep); });
  return cells;
}

// What was recorded under this name when it had other options.
std::string history_of(const Plan& plan, const PlannedCell& cell, const Globals& globals) {
  for (const RecordedCell& recorded : recorded_cells(plan.name, globals)) {
    if (recorded.name != cell.name || recorded.options == cell.options) continue;
    const std::string id = recorded.jobs.empty() ? "" : recorded.jobs.front().id;
    const std::string state = recorded.jobs.empty() ? "" : recorded.jobs.front().state;
    return fmt::format("recorded before as job {} ({}), with other options: {}\n", id, state,
                       fmt::join(changes_between(recorded.options, cell.options), "; "));
  }
  return "";
}

std::string list_names(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i) text += fmt::format("   {}\n", names[i]);
  if (names.size() > kMost)
    text += fmt::format("   and {} more\n", with_thousands(static_cast<std::int64_t>(names.size() - kMost)));
  return text;
}

}  // namespace

std::optional<std::string> why_text(const std::string& file, const std::string& cell, const Globals& globals) {
  Diagnostics diagnostics;
  const std::optional<CellExplanation> explained = explain_cell(file, cell, plan_context(globals), diagnostics);
  if (diagnostics.has_errors() || !explained) {
    put_note(diagnostics.render());
    return std::nullopt;
  }
  if (!explained->excluded_by.empty())
    return fmt::format("{}: not a cell of the grid; the [[exclude]] at {} drops it\n", explained->name,
                       explained->excluded_by);
  const auto plans = plan_files({file}, globals);
  if (!plans) return std::nullopt;
  const Plan& plan = plans->front();
  const auto found = std::find_if(plan.cells.begin(), plan.cells.end(),
                                  [&](const PlannedCell& one) { return one.name == explained->name; });
  if (found == plan.cells.end())
    throw Error(ErrorCode::kBug, fmt::format("cell '{}' is explained but not planned", explained->name));
  std::string text = fmt::format("{} of {}\n\n{}\n", found->name, plan.name, jobs_table(plan, *found, globals));
  text += history_of(plan, *found, globals);
  if (found->marks >= 0)
    text +=
        fmt::format("against its baseline: {}\n", fmt::join(plan.marks[static_cast<std::size_t>(found->marks)], "; "));
  Table options{.columns = {{.title = "option"}, {.title = "value", .align = Align::kLeft}, {.title = "from"}}};
  for (const OptionOrigin& one : explained->options) options.add({one.option, one.value, one.origin});
  return text + "\n" + to_text(options, 120);
}

std::string diff_text(const Plan& plan, const Globals& globals) {
  const std::vector<RecordedCell> recorded = recorded_cells(plan.name, globals);
  if (recorded.empty())
    return fmt::format("{}: nothing is recorded of this sweep; all {} are new\n", plan.name,
                       plural("cell", plan.cells.size()));
  const PlanDiff diff = diff_plan(plan, recorded);
  std::string text = fmt::format("{} against what is recorded of it\n", plan.name);
  const auto done = [&](const std::vector<RecordedJob>& jobs) {
    return std::count_if(jobs.begin(), jobs.end(), [](const RecordedJob& job) { return job.state == "done"; });
  };
  if (!diff.kept.empty()) text += fmt::format("keeps {}\n", plural("cell", diff.kept.size()));
  std::vector<std::string> names;
  for (const std::size_t cell : diff.added) names.push_back(plan.cells[cell].name);
  if (!names.empty()) text += fmt::format("adds {}:\n{}", plural("cell", names.size()), list_names(names));
  // Cells that changed in the same way stand together.
  std::map<std::string, std::vector<std::string>> alike;
  for (const PlanDiff::Change& change : diff.changed) {
    const PlannedCell& cell = plan.cells[change.cell];
    std::vector<std::string> what = changes_between(recorded[change.recorded].options, cell.options);
    for (const std::size_t job : change.added)
      if (what.empty()) what.push_back("adds " + plan.jobs[job].name);
    for (const RecordedJob& job : change.dropped)
      if (change.added.empty()) what.push_back("drops " + job.name);
    alike[fmt::format("{}", fmt::join(what, "; "))].push_back(cell.name);
  }
  for (const auto& [what, cells] : alike)
    text += fmt::format("changes {}: {}\n{}", plural("cell", cells.size()), what, list_names(cells));
  names.clear();
  for (const std::size_t cell : diff.dropped) names.push_back(recorded[cell].name);
  if (!names.empty()) text += fmt::format("drops {}:\n{}", plural("cell", names.size()), list_names(names));
  if (!diff.orphans.empty())
    text += fmt::format(
        "orphans {}, {} of them done: their results stay in the store, but this sweep no longer shows them\n",
        plural("job", diff.orphans.size()), with_thousands(done(diff.orphans)));
  return text;
}

}  // namespace mestre
