// mestre status: how the cells of a sweep stand.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "analysis/table.h"
#include "core/base/error.h"
#include "core/base/options.h"
#include "core/base/units.h"
#include "core/journal/attempt.h"
#include "runners/cli/command.h"
#include "runners/cli/output.h"
#include "runners/coordinator_lock.h"
#include "store/ingest.h"
#include "store/ledger.h"
#include "store/query.h"

namespace mestre {
namespace {

constexpr auto kWatchInterval = std::chrono::seconds(2);
constexpr double kStaleAfter = 5;  // s; older data than this are worth a word

struct StatusArguments {
  std::string sweep;  // a name or its file; empty: all, in short
  bool watch = false;
  bool json = false;
};

// How far the store can be trusted, and what is known better.
struct News {
  std::string coordinator;            // who holds the workspace, in his own words; empty: nobody
  double as_of = 0;                   // s since the epoch; from when the data are
  std::vector<std::string> problems;  // with the journals
  KnownStates known;
};

// When the store was last written to.
double last_write(const fs::path& database) {
  double last = 0;
  for (const fs::path& file : {database, fs::path(database.native() + "-wal")}) {
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0 || status.st_size == 0) continue;
    last =
        std::max(last, static_cast<double>(status.st_mtim.tv_sec) + 1e-9 * static_cast<double>(status.st_mtim.tv_nsec));
  }
  return last;
}

// The state of a job that the ledger takes to be running, while nobody is there to note its end.
JobState state_without_coordinator(const std::string& job, const fs::path& folder, Ledger& ledger) {
  const std::vector<int> attempts = attempts_of(folder);
  if (attempts.empty()) return JobState::kQueued;
  if (FileLock::is_held(attempt_folder(folder, attempts.back()) / "lock")) return JobState::kRunning;
  const JobDetail detail = ledger.job(job);
  const bool failed = !detail.attempts.empty() && detail.attempts.back().number == attempts.back() &&
                      detail.attempts.back().outcome == "failed";
  return failed ? JobState::kFailed : JobState::kQueued;
}

// Folds in what is new, and looks which workers live, where no coordinator does it.
void catch_up(const Globals& globals, News& news) {
  const Workspace workspace = globals.folders();
  const auto lock = CoordinatorLock::try_acquire(workspace);
  if (!lock) {
    news.coordinator = CoordinatorLock::holder(workspace);
    return;
  }
  Database database = Database::open_for_writing(globals.database_path());
  Ledger ledger(database);
  std::vector<fs::path> folders;
  for (const std::string& job : ledger.jobs_in(JobState::kRunning)) folders.push_back(workspace.job(job));
  for (const IngestProblem& problem : Ingester(database).ingest(folders).problems)
    news.problems.push_back(
        fmt::format("{}/attempt-{}: {}", problem.job_folder.native(), problem.attempt, problem.message));
  for (const std::string& job : ledger.jobs_in(JobState::kRunning)) {
    const JobState state = state_without_coordinator(job, workspace.job(job), ledger);
    if (state != JobState::kRunning) news.known.emplace(job, state);
  }
  news.as_of = now_seconds();
}

News news_of(const Globals& globals) {
  News news{.coordinator = {}, .as_of = last_write(globals.database_path()), .problems = {}, .known = {}};
  try {
    catch_up(globals, news);
  } catch (const Error& problem) {  // whoever may only read, or has a full disk, still sees what the store knows
    if (exit_status_of(problem.code()) != kExitEnvironment) throw;
    news.problems.push_back(problem.message());
  }
  return news;
}

Table sweeps_table(std::vector<SweepSummary> sweeps) {
  Table table{.columns = {{.title = "sweep"},
                          {.title = "cells"},
                          {.title = "jobs"},
                          {.title = "done"},
                          {.title = "running"},
                          {.title = "queued"},
                          {.title = "failed"}}};
  for (SweepSummary& sweep : sweeps) {
    std::int64_t jobs = 0;
    for (const auto& [state, count] : sweep.jobs) jobs += count;
    table.add({sweep.name, sweep.cells, jobs, sweep.jobs[JobState::kDone], sweep.jobs[JobState::kRunning],
               sweep.jobs[JobState::kQueued], sweep.jobs[JobState::kFailed]});
  }
  return table;
}

// % of the cell's jobs.
std::int64_t percent_done(const CellStatus& cell) {
  auto done = static_cast<double>(cell.jobs_done);
  for (const JobProgress& job : cell.running)
    if (job.total > 0) done += job.done / job.total;
  return static_cast<std::int64_t>(100 * done / std::max<double>(1, static_cast<double>(cell.jobs)));
}

bool is_open(const CellStatus& cell) {
  return cell.state == JobState::kQueued || cell.state == JobState::kRunning;
}

Cell last_failure(const CellStatus& cell) {
  if (!cell.last_cause.empty()) return cell.last_cause;
  return cell.interrupted ? Cell("interrupted") : Cell();
}

Table cells_table(const std::vector<CellStatus>& cells) {
  Table table{.columns = {{.title = "cell"},
                          {.title = "state"},
                          {.title = "done", .unit = "%", .key = "done_percent"},
                          {.title = "speed", .unit = "tokens/s", .key = "tokens_per_second"},
                          {.title = "left", .key = "seconds_left", .show = Show::kDuration},
                          {.title = "last failure"}}};
  for (const CellStatus& cell : cells) {
    double speed = 0;
    for (const JobProgress& job : cell.running) speed += job.tokens_per_second;
    table.add({cell.name, name_of(cell.state), percent_done(cell), speed > 0 ? Cell(speed) : Cell(),
               is_open(cell) ? Cell(cell.seconds_left) : Cell(), last_failure(cell)});
  }
  return table;
}

std::string summary_line(const std::vector<CellStatus>& cells) {
  std::map<JobState, int> count;
  double left = 0;
  for (const CellStatus& cell : cells) {
    ++count[cell.state];
    if (is_open(cell)) left += cell.seconds_left;
  }
  std::string line =
      fmt::format("{} cells: {} done, {} running, {} queued, {} failed", cells.size(), count[JobState::kDone],
                  count[JobState::kRunning], count[JobState::kQueued], count[JobState::kFailed]);
  if (left > 0) line += fmt::format("; about {} of one slot left", short_duration(left));
  return line;
}

// One line, so that --watch gives a stream of them.
void print_json(const Table& table, std::string_view name, const News& news) {
  std::string problems;
  for (const std::string& problem : news.problems) problems += (problems.empty() ? "" : ",") + json_string(problem);
  std::string rows = to_json(table);
  std::erase(rows, '\n');
  print_out("{}\n", JsonObject()
                        .number("as_of", news.as_of)
                        .raw("coordinator", news.coordinator.empty() ? "null" : json_string(news.coordinator))
                        .raw("problems", fmt::format("[{}]", problems))
                        .raw(name, rows)
                        .str());
}

void print_notes(const News& news, const std::string& file) {
  for (const std::string& problem : news.problems) print_note("warning: {}\n", problem);
  const double age = now_seconds() - news.as_of;
  if (age > kStaleAfter) {
    if (news.coordinator.empty())
      print_note("the store was written {} ago\n", short_duration(age));
    else
      print_note("{} works on the workspace; its last news is {} old\n", news.coordinator, short_duration(age));
  }
  const auto interrupted = std::ranges::count(news.known, JobState::kQueued, &KnownStates::value_type::second);
  if (interrupted > 0)
    print_note("{} {} interrupted, and nobody takes care of them\n   to go on: mestre run {}\n", interrupted,
               interrupted == 1 ? "job was" : "jobs were", file);
}

std::string file_of(const std::string& sweep, Database& database) {
  const std::vector<SqlValue> parameters = {sweep};
  return std::get<std::string>(
      query_table(database, "SELECT file FROM sweeps WHERE sweep = ?1", parameters).rows.at(0).at(0));
}

void show(const StatusArguments& arguments, const Globals& globals) {
  const News news = news_of(globals);
  Database database = Database::open_for_reading(globals.database_path());
  Ledger ledger(database);
  if (arguments.sweep.empty()) {
    const Table table = sweeps_table(ledger.sweeps(news.known));
    if (arguments.json) return print_json(table, "sweeps", news);
    put_out(to_text(table));
    return print_notes(news, "FILE");
  }
  const std::string sweep = ledger.resolve_sweep(arguments.sweep);
  const std::vector<CellStatus> cells = ledger.cells(sweep, news.known);
  const Table table = cells_table(cells);
  if (arguments.json) return print_json(table, "cells", news);
  print_out("{}{}\n", to_text(table), summary_line(cells));
  print_notes(news, file_of(sweep, database));
}

int status(const StatusArguments& arguments, const Globals& globals) {
  (void)Database::open_for_reading(globals.database_path());  // what is wrong with it is said before anything else
  const bool clear = arguments.watch && !arguments.json && ::isatty(STDOUT_FILENO) == 1;
  for (;;) {
    if (clear) put_out("\x1b[H\x1b[2J");
    show(arguments, globals);
    flush_out();
    if (!arguments.watch || reader_left()) return kExitOk;
    std::this_thread::sleep_for(kWatchInterval);
    if (!clear && !arguments.json) put_out("\n");
  }
}

}  // namespace

void register_status(CLI::App& app, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<StatusArguments>();
  CLI::App* command = app.add_subcommand("status", "how the cells of a sweep stand");
  command->add_option("SWEEP", arguments->sweep, "its name, or the path of its file; default: all sweeps, a line each");
  command->add_flag("--watch", arguments->watch, "again every two seconds, until Ctrl-C");
  command->add_flag("--json", arguments->json, "for scripts");
  command->footer("Example: mestre status quickstart --watch");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return status(*arguments, globals); }; });
}

}  // namespace mestre
