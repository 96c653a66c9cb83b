// mestre plan: expands, checks and prices sweeps, and shows what would run.

#include <algorithm>
#include <map>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "analysis/table.h"
#include "core/base/error.h"
#include "core/base/units.h"
#include "runners/cli/dispatch.h"
#include "runners/cli/output.h"
#include "runners/cli/plan_context.h"
#include "runners/local/local_runner.h"

namespace mestre {
namespace {

constexpr std::size_t kMostRows = 60;  // a longer table is cut; --cells lists everything

struct Arguments {
  std::vector<std::string> files;
  int slots = 0;  // 0: one per core
  bool cells = false;
  bool json = false;
};

bool is_done(const Plan& plan, const PlannedCell& cell) {
  return std::all_of(cell.jobs.begin(), cell.jobs.end(), [&](std::size_t job) { return plan.jobs[job].finished; });
}

std::string plural(const std::string& noun, std::size_t count) {
  const bool needs_s = count != 1 && !noun.ends_with('s');
  return fmt::format("{} {}{}", with_thousands(static_cast<std::int64_t>(count)), noun, needs_s ? "s" : "");
}

// "quickstart: 15 cells (5 architectures x 3 seeds), 15 to run, 0 done"
std::string headline(const Plan& plan) {
  std::string axes;
  std::size_t product = 1;
  for (const PlannedAxis& axis : plan.axes) {
    axes += (axes.empty() ? "" : " x ") + plural(axis.name, axis.labels.size());
    product *= axis.labels.size();
  }
  if (product != plan.cells.size()) axes += ", some left out";
  const auto done =
      std::count_if(plan.cells.begin(), plan.cells.end(), [&](const PlannedCell& cell) { return is_done(plan, cell); });
  const auto all = static_cast<std::int64_t>(plan.cells.size());
  return fmt::format("{}: {}{}, {} to run, {} done", plan.name, plural("cell", plan.cells.size()),
                     axes.empty() ? "" : " (" + axes + ")", with_thousands(all - done), with_thousands(done));
}

// Cells that differ only in their seeds.
struct Group {
  std::vector<std::string> labels;  // on the axes that are not repetitions
  std::int64_t cells = 0;
  std::int64_t done = 0;
  double seconds = 0;  // of all its cells
  double memory = 0;   // of its largest job
  Estimate training;
};

std::vector<Group> group_cells(const Plan& plan) {
  std::vector<Group> groups;
  std::map<std::vector<std::string>, std::size_t> index;
  for (const PlannedCell& cell : plan.cells) {
    std::vector<std::string> labels;
    for (std::size_t a = 0; a < plan.axes.size(); ++a)
      if (!plan.axes[a].replicates) labels.push_back(cell.labels[a]);
    const auto [found, is_new] = index.try_emplace(labels, groups.size());
    if (is_new) groups.push_back({.labels = labels, .training = plan.jobs[cell.jobs.front()].estimate});
    Group& group = groups[found->second];
    ++group.cells;
    group.done += is_done(plan, cell) ? 1 : 0;
    for (const std::size_t job : cell.jobs) {
      group.seconds += plan.jobs[job].estimate.seconds;
      group.memory = std::max(group.memory, plan.jobs[job].estimate.memory_bytes);
    }
  }
  return groups;
}

Table groups_table(const Plan& plan) {
  Table table;
  for (const PlannedAxis& axis : plan.axes)
    if (!axis.replicates) table.columns.push_back({.title = axis.name});
  if (table.columns.empty()) table.columns.push_back({.title = "sweep"});
  const std::vector<Column> facts = {{.title = "cells"},
                                     {.title = "done"},
                                     {.title = "parameters", .show = Show::kCount},
                                     {.title = "without emb.", .show = Show::kCount},
                                     {.title = "forward", .unit = "GFLOP/token"},
                                     {.title = "memory", .show = Show::kBytes},
                                     {.title = "time", .unit = "a cell", .show = Show::kDuration}};
  table.columns.insert(table.columns.end(), facts.begin(), facts.end());
  const std::vector<Group> groups = group_cells(plan);
  for (std::size_t i = 0; i < std::min(groups.size(), kMostRows); ++i) {
    const Group& group = groups[i];
    std::vector<Cell> row(group.labels.begin(), group.labels.end());
    if (row.empty()) row.emplace_back(plan.name);
    const std::vector<Cell> values = {group.cells,
                                      group.done,
                                      group.training.parameters,
                                      group.training.parameters_without_embeddings,
                                      group.training.forward_flops_per_token / 1e9,
                                      group.memory,
                                      group.seconds / static_cast<double>(group.cells)};
    row.insert(row.end(), values.begin(), values.end());
    table.add(std::move(row));
  }
  if (groups.size() > kMostRows)
    table.notes.push_back(fmt::format("and {} more rows; --cells lists every cell",
                                      with_thousands(static_cast<std::int64_t>(groups.size() - kMostRows))));
  return table;
}

// "total: 10:00 on 2 CPU slots (assumed 1.2 GFLOP/s a slot; no measurement yet)"
std::string total_line(const Plan& plan, int slots, const PlanContext& context) {
  double cpu_seconds = 0;
  double gpu_hours = 0;
  std::int64_t left = 0;
  std::int64_t measured = 0;
  for (const PlannedJob& job : plan.jobs) {
    if (job.finished) continue;
    ++left;
    measured += job.estimate.measured ? 1 : 0;
    if (job.launch.gpus > 0) {
      gpu_hours += job.estimate.seconds / 3600 * static_cast<double>(job.launch.gpus);
    } else {
      cpu_seconds += job.estimate.seconds * static_cast<double>(job.launch.threads);
    }
  }
  if (left == 0) return "total: nothing to run";
  std::string total;
  if (cpu_seconds > 0)
    total = fmt::format("{} on {}", short_duration(cpu_seconds / slots),
                        plural("CPU slot", static_cast<std::size_t>(slots)));
  if (gpu_hours > 0) total += fmt::format("{}{} GPU-hours", total.empty() ? "" : " and ", shown(gpu_hours));
  const std::string assumed = gpu_hours > 0
                                  ? fmt::format("{} TFLOP/s a GPU", shown(context.assumed_gpu_flops_per_second / 1e12))
                                  : fmt::format("{} GFLOP/s a slot", shown(context.assumed_flops_per_second / 1e9));
  if (measured == left) return fmt::format("total: {} (by measured speed)", total);
  if (measured == 0) return fmt::format("total: {} (assumed {}; no measurement yet)", total, assumed);
  return fmt::format("total: {} ({} of {} jobs by measured speed, the others assumed at {})", total,
                     with_thousands(measured), with_thousands(left), assumed);
}

void show_missing(const Plan& plan) {
  for (const MissingData& missing : plan.missing) print_out("no data at '{}'\n   {}\n", missing.place, missing.remedy);
  if (plan.missing.empty()) return;
  const bool has_no_vocabulary = std::any_of(plan.jobs.begin(), plan.jobs.end(), [](const PlannedJob& job) {
    return job.estimate.parameters > 0 && job.estimate.parameters == job.estimate.parameters_without_embeddings;
  });
  if (has_no_vocabulary)
    print_out("   until then the vocabulary is not known where the model does not say it: embeddings are left out\n");
  print_out(
      "   until then the ids of the jobs that read them are provisional, and 'mestre run' refuses the sweep;\n"
      "   --data FOLDER looks elsewhere\n");
}

void show_plan(const Plan& plan, int slots, const PlanContext& context) {
  print_out("{}\n", headline(plan));
  if (!plan.question.empty()) print_out("{}\n", plan.question);
  print_out("\n{}\n", to_text(groups_table(plan)));
  print_out("{}\n", total_line(plan, slots, context));
  for (const auto& [digest, path] : plan.data) print_out("data: {} {}\n", path, digest);
  show_missing(plan);
}

void show_cells(const Plan& plan) {
  Table table{.columns = {{.title = "cell"}, {.title = "job"}, {.title = "id"}, {.title = "state"}}};
  for (const PlannedCell& cell : plan.cells)
    for (const std::size_t index : cell.jobs) {
      const PlannedJob& job = plan.jobs[index];
      table.add({cell.name, job.name, job.id, job.finished ? "done" : "to run"});
    }
  print_out("{}\n\n{}", headline(plan), to_text(table, 160));
}

int run(const Arguments& arguments, const Globals& globals) {
  const auto plans = plan_files(arguments.files, globals);
  if (!plans) return kExitBadInput;
  const PlanContext assumptions;
  const int slots = arguments.slots > 0 ? arguments.slots : usable_cores();
  const bool several = plans->size() > 1;
  if (arguments.json && several) print_out("[\n");
  for (std::size_t i = 0; i < plans->size(); ++i) {
    const Plan& plan = (*plans)[i];
    if (i > 0) print_out("{}\n", arguments.json ? "," : "");
    if (arguments.json) {
      put_out(plan_json(plan));
    } else if (arguments.cells) {
      show_cells(plan);
    } else {
      show_plan(plan, slots, assumptions);
    }
  }
  if (arguments.json && several) print_out("]\n");
  return kExitOk;
}

}  // namespace

void register_plan(CLI::App& app, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("plan", "expand, check and price sweeps; nothing is run or written");
  command->add_option("FILE", arguments->files, "sweep files")->required();
  command->add_flag("--cells", arguments->cells, "list every cell with the ids and states of its jobs");
  command->add_flag("--json", arguments->json, "the whole plan for scripts: cells, jobs, specs, estimates, totals");
  command->add_option("--slots", arguments->slots, "CPU slots for the total time; default: one per core")
      ->check(CLI::Range(1, 4096));
  command->footer(
      "A mistake in a file is shown with its place, all of them at once, and the exit status is 2.\n"
      "Example: mestre plan experiments/quickstart.toml");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return run(*arguments, globals); }; });
}

}  // namespace mestre
