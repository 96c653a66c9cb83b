// mestre run: plans, then runs what is missing.

#include <chrono>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/units.h"
#include "runners/cli/dispatch.h"
#include "runners/cli/output.h"
#include "runners/cli/progress_view.h"
#include "runners/cli/report_output.h"
#include "runners/local/local_runner.h"

namespace mestre {
namespace {

struct RunArguments {
  std::vector<std::string> files;
  int slots = 0;  // 0: one per core
  int jobs_per_gpu = 0;
  bool dry_run = false;
  bool retry_failed = false;
  bool report = false;
  bool verbose = false;
};

struct Counts {
  std::int64_t cells = 0;
  std::int64_t jobs = 0;
  std::int64_t finished = 0;
};

Counts count(const std::vector<Plan>& plans) {
  Counts counts;
  for (const Plan& plan : plans) {
    counts.cells += static_cast<std::int64_t>(plan.cells.size());
    counts.jobs += static_cast<std::int64_t>(plan.jobs.size());
    for (const PlannedJob& job : plan.jobs) counts.finished += job.finished ? 1 : 0;
  }
  return counts;
}

std::string files_as_typed(const RunArguments& arguments) {
  std::string text;
  for (const std::string& file : arguments.files) text += " " + file;
  return text;
}

void list_missing(const std::vector<Plan>& plans) {
  for (const Plan& plan : plans)
    for (const PlannedCell& cell : plan.cells)
      for (const std::size_t index : cell.jobs)
        if (!plan.jobs[index].finished)
          print_out("{}  {} {}\n", plan.jobs[index].id.substr(0, 8), cell.name, plan.jobs[index].name);
}

int conclude(const DispatchResult& result, const Counts& before, double seconds, const RunArguments& arguments) {
  if (result.interrupted) {
    print_note("stopped; running jobs go on by themselves\n   to come back: mestre run{}\n", files_as_typed(arguments));
    return kExitInterrupted;
  }
  if (!result.all_done) {
    print_note("some jobs failed; see 'mestre status', and 'mestre logs' for what they said\n");
    return kExitJobFailed;
  }
  print_note("{} cells done; {} attempts started in {}\n", with_thousands(before.cells), with_thousands(result.started),
             short_duration(seconds));
  return kExitOk;
}

int run(const RunArguments& arguments, const Globals& globals) {
  const auto plans = plan_files(arguments.files, globals);
  if (!plans) return kExitBadInput;
  require_data(*plans);
  const Counts counts = count(*plans);
  if (arguments.dry_run) {
    list_missing(*plans);
    print_note("{} of {} jobs would run\n", with_thousands(counts.jobs - counts.finished), with_thousands(counts.jobs));
    return kExitOk;
  }
  int status = kExitOk;
  const auto begin = std::chrono::steady_clock::now();
  {
    ProgressView view(arguments.verbose);
    const DispatchOptions options{.slots = arguments.slots > 0 ? arguments.slots : usable_cores(),
                                  .jobs_per_gpu = arguments.jobs_per_gpu,
                                  .retry_failed = arguments.retry_failed};
    const DispatchResult result = dispatch(*plans, globals, options, view);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (result.all_done && result.started == 0) {
      print_note("nothing to run: all {} cells are done ({} jobs)\n", with_thousands(counts.cells),
                 with_thousands(counts.jobs));
    } else {
      status = conclude(result, counts, seconds, arguments);
    }
  }
  if (status == kExitInterrupted) return status;
  for (const Plan& plan : *plans) {
    if (arguments.report) {
      show_report(plan.name, globals, globals.folders().reports() / plan.name);
    } else if (status == kExitOk) {
      print_note("   the table and the figures: mestre report {}\n", plan.name);
    }
  }
  return status;
}

}  // namespace

void register_run(CLI::App& app, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* command = app.add_subcommand("run", "plan, then run what is missing");
  command->add_option("FILE", arguments->files, "sweep files")->required();
  command->add_option("--slots", arguments->slots, "jobs at a time on this machine; default: one per core")
      ->check(CLI::Range(1, 4096));
  command
      ->add_option("--jobs-per-gpu", arguments->jobs_per_gpu,
                   "jobs that share a GPU at most; default: as many as its memory holds, by the plan's estimate")
      ->check(CLI::Range(1, 4096));
  command->add_flag("--dry-run", arguments->dry_run, "only list what would run");
  command->add_flag("--retry-failed", arguments->retry_failed, "also run again what failed by its own fault");
  command->add_flag("--report", arguments->report, "write the report afterwards and show its table");
  command->add_flag("--verbose", arguments->verbose, "a line for each job that starts and ends");
  command->footer(
      "Ctrl-C leaves running jobs at work; the same command takes them over again.\n"
      "Example: mestre run experiments/quickstart.toml --report");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return run(*arguments, globals); }; });
}

}  // namespace mestre
