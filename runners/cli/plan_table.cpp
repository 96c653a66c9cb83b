#include "runners/cli/plan_table.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "analysis/footnotes.h"
#include "analysis/table.h"
#include "core/base/units.h"
#include "core/plan/budget.h"
#include "core/spec/hardware.h"

namespace mestre {
namespace {

constexpr std::size_t kMostRows = 60;   // a longer table is cut; --cells lists everything
constexpr std::size_t kMostNotes = 12;  // of what is unfair; --json has them all

bool is_done(const Plan& plan, const PlannedCell& cell) {
  return std::all_of(cell.jobs.begin(), cell.jobs.end(), [&](std::size_t job) { return plan.jobs[job].finished; });
}

// Cells that differ only in their seeds.
struct Group {
  std::vector<std::string> labels;  // on the axes that are not repetitions
  std::int64_t cells = 0;
  std::int64_t done = 0;
  double seconds = 0;  // of all its cells
  double memory = 0;   // of its largest job
  const Estimate* training = nullptr;
  const PlannedCell* first = nullptr;
  const Gpu* too_small = nullptr;  // the GPU that has less memory than that
};

void add_cell(Group& group, const Plan& plan, const PlannedCell& cell) {
  ++group.cells;
  group.done += is_done(plan, cell) ? 1 : 0;
  for (const std::size_t index : cell.jobs) {
    const PlannedJob& job = plan.jobs[index];
    group.seconds += job.estimate.seconds;
    group.memory = std::max(group.memory, job.estimate.memory.total());
    const Gpu* gpu = job.launch.gpus > 0 ? find_gpu(job.launch.gpu) : nullptr;
    if (gpu != nullptr && job.estimate.memory.total() > gpu->memory_bytes) group.too_small = gpu;
  }
}

// Whether the cell has the labels of the group.
bool belongs(const Plan& plan, const PlannedCell& cell, const Group& group) {
  auto label = group.labels.begin();
  for (std::size_t a = 0; a < plan.axes.size(); ++a)
    if (!plan.axes[a].replicates && cell.labels[a] != *label++) return false;
  return true;
}

std::vector<Group> group_cells(const Plan& plan) {
  std::vector<Group> groups;
  std::map<std::vector<std::string>, std::size_t> index;
  std::size_t last = 0;  // seeds mostly stand last, so the next cell mostly belongs to the same group
  for (const PlannedCell& cell : plan.cells) {
    if (groups.empty() || !belongs(plan, cell, groups[last])) {
      std::vector<std::string> labels;
      for (std::size_t a = 0; a < plan.axes.size(); ++a)
        if (!plan.axes[a].replicates) labels.push_back(cell.labels[a]);
      const auto [found, is_new] = index.try_emplace(labels, groups.size());
      last = found->second;
      if (is_new)
        groups.push_back(
            {.labels = std::move(labels), .training = &plan.jobs[cell.jobs.front()].estimate, .first = &cell});
    }
    add_cell(groups[last], plan, cell);
  }
  return groups;
}

// What stands behind the label of a row; empty where there is nothing to say.
std::string mark_of(const Plan& plan, const PlannedCell& cell, Footnotes& unfair) {
  if (cell.marks < 0) return "";
  return unfair.mark(
      fmt::format("against its baseline: {}", fmt::join(plan.marks[static_cast<std::size_t>(cell.marks)], "; ")));
}

// What was solved for in the rows that are shown, each solution once.
class SolutionNotes {
 public:
  explicit SolutionNotes(const Plan& plan) : plan_(plan) {}
  void note(const Group& group) {
    if (group.first->solution < 0) return;
    std::vector<std::string>& rows = rows_[group.first->solution];
    rows.push_back(group.labels.empty() ? plan_.name : fmt::format("{}", fmt::join(group.labels, " ")));
  }
  void write(Table& table) const {
    std::size_t written = 0;
    for (const auto& [index, rows] : rows_) {
      if (written++ == kMostNotes) break;
      const Solution& solution = plan_.solutions[static_cast<std::size_t>(index)];
      table.notes.push_back(fmt::format("solved: {}{}: {} = {}, {} {:+.2f} % of {}", rows.front(),
                                        rows.size() > 1 ? fmt::format(" and {} more", rows.size() - 1) : "",
                                        solution.option, with_thousands(solution.value), solution.quantity,
                                        100 * solution.residual,
                                        solution.of_baseline ? "the baseline's" : "the target"));
    }
    if (rows_.size() > kMostNotes)
      table.notes.push_back(fmt::format("and {} more solutions; --json has them all", rows_.size() - kMostNotes));
  }

 private:
  const Plan& plan_;
  std::map<std::int32_t, std::vector<std::string>> rows_;
};

std::vector<Column> columns_of(const Plan& plan) {
  std::vector<Column> columns;
  for (const PlannedAxis& axis : plan.axes)
    if (!axis.replicates) columns.push_back({.title = axis.name});
  if (columns.empty()) columns.push_back({.title = "sweep"});
  const std::vector<Column> facts = {{.title = "cells"},
                                     {.title = "done"},
                                     {.title = "parameters", .show = Show::kCount},
                                     {.title = "without emb.", .show = Show::kCount},
                                     {.title = "forward", .unit = "GFLOP/token"},
                                     {.title = "memory", .show = Show::kBytes},
                                     {.title = "time", .unit = "a cell", .show = Show::kDuration}};
  columns.insert(columns.end(), facts.begin(), facts.end());
  return columns;
}

Table groups_table(const Plan& plan) {
  Table table{.columns = columns_of(plan)};
  const std::vector<Group> groups = group_cells(plan);
  Footnotes unfair;
  SolutionNotes solutions(plan);
  std::set<const Gpu*> too_small;
  for (std::size_t i = 0; i < std::min(groups.size(), kMostRows); ++i) {
    const Group& group = groups[i];
    std::vector<Cell> row(group.labels.begin(), group.labels.end());
    if (row.empty()) row.emplace_back(plan.name);
    row.front().mark = mark_of(plan, *group.first, unfair);
    if (group.too_small != nullptr) too_small.insert(group.too_small);
    const std::vector<Cell> values = {group.cells,
                                      group.done,
                                      group.training->parameters,
                                      group.training->parameters_without_embeddings,
                                      group.training->forward_flops_per_token / 1e9,
                                      Cell(group.memory, group.too_small != nullptr ? "!" : ""),
                                      group.seconds / static_cast<double>(group.cells)};
    row.insert(row.end(), values.begin(), values.end());
    solutions.note(group);
    table.add(std::move(row));
  }
  if (groups.size() > kMostRows)
    table.notes.push_back(fmt::format("and {} more rows; --cells lists every cell",
                                      with_thousands(static_cast<std::int64_t>(groups.size() - kMostRows))));
  solutions.write(table);
  unfair.write(table, kMostNotes, "--json has them all");
  for (const Gpu* gpu : too_small)
    table.notes.push_back(fmt::format("! more memory than the {} of one {}: lower resources.micro_batch",
                                      short_bytes(gpu->memory_bytes), gpu->name));
  return table;
}

// What the jobs that are left are estimated from.
struct Origins {
  std::int64_t jobs = 0;
  std::int64_t measured = 0;
  double low = INFINITY;  // FLOP/s of one device, as assumed for the others
  double high = 0;
};

Origins origins_of(const Plan& plan) {
  Origins origins;
  for (const PlannedJob& job : plan.jobs) {
    if (job.finished) continue;
    ++origins.jobs;
    origins.measured += job.estimate.measured() ? 1 : 0;
    if (job.estimate.measured() || job.estimate.seconds <= 0) continue;
    const auto devices = static_cast<double>(job.launch.gpus > 0 ? job.launch.gpus : job.launch.threads);
    origins.low = std::min(origins.low, job.estimate.flops / job.estimate.seconds_high / devices);
    origins.high = std::max(origins.high, job.estimate.flops / job.estimate.seconds_low / devices);
  }
  return origins;
}

// "total: 10:00 (4:20 to 30:00) on 2 CPU slots, assumed 20 to 140 GFLOP/s a slot; no measurement yet"
std::string total_line(const Plan& plan, int slots) {
  const Origins origins = origins_of(plan);
  if (origins.jobs == 0) return "total: nothing to run";
  double seconds = 0;
  double low = 0;
  double high = 0;
  for (const PlannedJob& job : plan.jobs) {
    if (job.finished || job.launch.gpus > 0) continue;
    const double share = static_cast<double>(job.launch.threads) / slots;
    seconds += job.estimate.seconds * share;
    low += job.estimate.seconds_low * share;
    high += job.estimate.seconds_high * share;
  }
  const GpuHours gpu = gpu_hours_left(plan);
  std::string total;
  if (seconds > 0)
    total = fmt::format("{} ({} to {}) on {}", short_duration(seconds), short_duration(low), short_duration(high),
                        plural("CPU slot", static_cast<std::size_t>(slots)));
  if (gpu.expected > 0)
    total += fmt::format("{}{} GPU-hours ({} to {})", total.empty() ? "" : " and ", shown(gpu.expected), shown(gpu.low),
                         shown(gpu.high));
  if (origins.measured == origins.jobs) return fmt::format("total: {}, by measured speed", total);
  const std::string assumed =
      gpu.expected > 0 ? fmt::format("{} to {} TFLOP/s a GPU", shown(origins.low / 1e12), shown(origins.high / 1e12))
                       : fmt::format("{} to {} GFLOP/s a slot", shown(origins.low / 1e9), shown(origins.high / 1e9));
  if (origins.measured == 0) return fmt::format("total: {}, assumed {}; no measurement yet", total, assumed);
  return fmt::format("total: {}, {} of {} jobs by measured speed, the others assumed at {}", total,
                     with_thousands(origins.measured), with_thousands(origins.jobs), assumed);
}

std::string missing_lines(const Plan& plan) {
  if (plan.missing.empty()) return "";
  std::vector<std::pair<std::string, std::string>> by_remedy;  // in the order in which the sweep names them
  for (const MissingData& missing : plan.missing) {
    auto same = std::find_if(by_remedy.begin(), by_remedy.end(),
                             [&](const auto& other) { return other.first == missing.remedy; });
    if (same == by_remedy.end()) same = by_remedy.insert(same, {missing.remedy, "no data at"});
    same->second += fmt::format(" '{}'\n          ", missing.place);
  }
  std::string text;
  for (const auto& [remedy, places] : by_remedy)
    text += fmt::format("{}\n   {}\n", places.substr(0, places.rfind('\n')), remedy);
  const bool has_no_vocabulary = std::any_of(plan.jobs.begin(), plan.jobs.end(), [](const PlannedJob& job) {
    return job.estimate.parameters > 0 && job.estimate.parameters == job.estimate.parameters_without_embeddings;
  });
  if (has_no_vocabulary)
    text += "   until then the vocabulary is not known where the model does not say it: embeddings are left out\n";
  return text +
         "   until then the ids of the jobs that read them are provisional, and 'mestre run' refuses the sweep;\n"
         "   --data FOLDER looks elsewhere\n";
}

std::string disk_line(const Plan& plan) {
  double bytes = 0;
  for (const PlannedJob& job : plan.jobs)
    if (!job.finished) bytes += job.estimate.disk_bytes;
  return bytes > 0 ? fmt::format("disk: {} for checkpoints\n", short_bytes(bytes)) : "";
}

std::string data_lines(const Plan& plan) {
  std::string text;
  for (const auto& [digest, path] : plan.data) {
    text += fmt::format("data: {} {}\n", path, digest);
    const auto mixture = plan.mixtures.find(path);
    if (mixture == plan.mixtures.end()) continue;
    for (const PlannedComponent& one : mixture->second)
      text += fmt::format("   {} % {}, read {} times\n", shown(100 * one.share), one.path, shown(one.times_read));
  }
  return text;
}

}  // namespace

std::string plural(const std::string& noun, std::size_t count) {
  const bool needs_s = count != 1 && !noun.ends_with('s');
  return fmt::format("{} {}{}", with_thousands(static_cast<std::int64_t>(count)), noun, needs_s ? "s" : "");
}

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

std::string plan_text(const Plan& plan, int slots) {
  std::string text = headline(plan) + "\n";
  if (!plan.question.empty()) text += plan.question + "\n";
  text += fmt::format("\n{}\n{}\n{}", to_text(groups_table(plan)), total_line(plan, slots), disk_line(plan));
  return text + data_lines(plan) + missing_lines(plan);
}

std::string cells_text(const Plan& plan) {
  Table table{.columns = {{.title = "cell"}, {.title = "job"}, {.title = "id"}, {.title = "state"}}};
  for (const PlannedCell& cell : plan.cells)
    for (const std::size_t index : cell.jobs) {
      const PlannedJob& job = plan.jobs[index];
      table.add({cell.name, job.name, job.id, job.finished ? "done" : "to run"});
    }
  return fmt::format("{}\n\n{}", headline(plan), to_text(table, 160));
}

}  // namespace mestre
