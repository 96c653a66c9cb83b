// mestre status: how the cells of a sweep stand.

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "analysis/table.h"
#include "core/base/error.h"
#include "core/base/units.h"
#include "runners/cli/command.h"
#include "runners/coordinator_lock.h"
#include "store/ingest.h"
#include "store/ledger.h"

namespace mestre {
namespace {

constexpr auto kWatchInterval = std::chrono::seconds(2);
constexpr double kStaleAfter = 5;  // s; older data than this are worth a word

struct Arguments {
  std::string sweep;  // empty: all, in short
  bool watch = false;
  bool json = false;
};

// Folds in what is new where no coordinator does it; returns whether somebody else holds the workspace.
bool catch_up(const Globals& globals) {
  const auto lock = CoordinatorLock::try_acquire(globals.folders());
  if (!lock) return true;
  Database database = Database::open_for_writing(globals.database_path());
  Ledger ledger(database);
  std::vector<fs::path> folders;
  for (const std::string& job : ledger.jobs_in(JobState::kRunning)) folders.push_back(globals.folders().job(job));
  Ingester(database).ingest(folders);
  return false;
}

Table sweeps_table(Ledger& ledger) {
  Table table{.columns = {{.title = "sweep"},
                          {.title = "cells"},
                          {.title = "jobs"},
                          {.title = "done"},
                          {.title = "running"},
                          {.title = "queued"},
                          {.title = "failed"}}};
  for (SweepSummary& sweep : ledger.sweeps()) {
    std::int64_t jobs = 0;
    for (const auto& [state, count] : sweep.jobs) jobs += count;
    table.add({sweep.name, sweep.cells, jobs, sweep.jobs[JobState::kDone], sweep.jobs[JobState::kRunning],
               sweep.jobs[JobState::kQueued], sweep.jobs[JobState::kFailed]});
  }
  return table;
}

struct Progress {
  double share = 0;  // of the cell's jobs
  double tokens_per_second = 0;
  double seconds_left = 0;
};

Progress progress_of(const CellStatus& cell) {
  Progress progress{.share = static_cast<double>(cell.jobs_done), .seconds_left = cell.estimated_seconds_left};
  for (const JobProgress& job : cell.running) {
    progress.tokens_per_second += job.tokens_per_second;
    if (job.total <= 0) continue;
    const double share = job.done / job.total;
    progress.share += share;
    if (job.done > 0) progress.seconds_left = (job.updated_at - job.started_at) * (1 - share) / share;
  }
  progress.share /= std::max<double>(1, static_cast<double>(cell.jobs));
  return progress;
}

Table cells_table(const std::vector<CellStatus>& cells) {
  Table table{.columns = {{.title = "cell"},
                          {.title = "state"},
                          {.title = "done", .unit = "%"},
                          {.title = "speed", .unit = "tokens/s"},
                          {.title = "left", .show = Show::kDuration},
                          {.title = "last failure"}}};
  for (const CellStatus& cell : cells) {
    const Progress progress = progress_of(cell);
    const bool open = cell.state == JobState::kQueued || cell.state == JobState::kRunning;
    table.add({cell.name, name_of(cell.state), static_cast<std::int64_t>(progress.share * 100),
               progress.tokens_per_second > 0 ? Cell(progress.tokens_per_second) : Cell(),
               open ? Cell(progress.seconds_left) : Cell(), cell.last_cause.empty() ? Cell() : Cell(cell.last_cause)});
  }
  return table;
}

std::string summary_line(const std::vector<CellStatus>& cells) {
  std::map<JobState, int> count;
  double left = 0;
  for (const CellStatus& cell : cells) {
    ++count[cell.state];
    if (cell.state != JobState::kDone) left += cell.estimated_seconds_left;
  }
  std::string line =
      fmt::format("{} cells: {} done, {} running, {} queued, {} failed", cells.size(), count[JobState::kDone],
                  count[JobState::kRunning], count[JobState::kQueued], count[JobState::kFailed]);
  if (left > 0) line += fmt::format("; about {} of one slot left, as planned", short_duration(left));
  return line;
}

void show(const Arguments& arguments, const Globals& globals) {
  const bool held = catch_up(globals);
  Database database = Database::open_for_reading(globals.database_path());
  Ledger ledger(database);
  if (arguments.sweep.empty()) {
    const Table table = sweeps_table(ledger);
    std::fputs((arguments.json ? to_json(table) : to_text(table)).c_str(), stdout);
    return;
  }
  const std::vector<CellStatus> cells = ledger.cells(arguments.sweep);
  const Table table = cells_table(cells);
  std::fputs((arguments.json ? to_json(table) : to_text(table)).c_str(), stdout);
  if (arguments.json) return;
  fmt::print("{}\n", summary_line(cells));
  double newest = 0;
  for (const CellStatus& cell : cells)
    for (const JobProgress& job : cell.running) newest = std::max(newest, job.updated_at);
  if (held && newest > 0 && now_seconds() - newest > kStaleAfter)
    fmt::print(stderr, "another coordinator holds the workspace; its last news is {} old\n",
               short_duration(now_seconds() - newest));
}

int status(const Arguments& arguments, const Globals& globals) {
  if (!fs::exists(globals.database_path())) {
    throw Error(ErrorCode::kNotFound, fmt::format("there is no store at '{}'", globals.database_path().native()))
        .hint("'mestre run FILE' makes it; --workspace names another folder");
  }
  while (arguments.watch) {
    std::fputs("\x1b[H\x1b[2J", stdout);
    show(arguments, globals);
    std::fflush(stdout);
    std::this_thread::sleep_for(kWatchInterval);
  }
  show(arguments, globals);
  return kExitOk;
}

}  // namespace

void register_status(CLI::App& app, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("status", "how the cells of a sweep stand");
  command->add_option("SWEEP", arguments->sweep, "its name; default: all sweeps, a line each");
  command->add_flag("--watch", arguments->watch, "again every two seconds, until Ctrl-C");
  command->add_flag("--json", arguments->json, "for scripts");
  command->footer("Example: mestre status quickstart --watch");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return status(*arguments, globals); }; });
}

}  // namespace mestre
