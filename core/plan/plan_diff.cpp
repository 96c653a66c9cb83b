#include "core/plan/plan_diff.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace mestre {
namespace {

PlanDiff::Change compare(const Plan& plan, std::size_t cell, const RecordedCell& recorded) {
  PlanDiff::Change change{.cell = cell, .recorded = 0, .dropped = {}, .added = {}};
  const std::vector<std::size_t>& jobs = plan.cells[cell].jobs;
  for (const RecordedJob& job : recorded.jobs)
    if (std::none_of(jobs.begin(), jobs.end(), [&](std::size_t one) { return plan.jobs[one].id == job.id; }))
      change.dropped.push_back(job);
  for (const std::size_t job : jobs)
    if (std::none_of(recorded.jobs.begin(), recorded.jobs.end(),
                     [&](const RecordedJob& one) { return one.id == plan.jobs[job].id; }))
      change.added.push_back(job);
  return change;
}

}  // namespace

PlanDiff diff_plan(const Plan& plan, const std::vector<RecordedCell>& recorded) {
  PlanDiff diff;
  std::unordered_map<std::string_view, std::size_t> by_name;
  for (std::size_t i = 0; i < recorded.size(); ++i) by_name.emplace(recorded[i].name, i);
  std::vector<bool> found(recorded.size(), false);
  for (std::size_t cell = 0; cell < plan.cells.size(); ++cell) {
    const auto known = by_name.find(plan.cells[cell].name);
    if (known == by_name.end()) {
      diff.added.push_back(cell);
      continue;
    }
    found[known->second] = true;
    PlanDiff::Change change = compare(plan, cell, recorded[known->second]);
    change.recorded = known->second;
    if (change.added.empty() && change.dropped.empty()) {
      diff.kept.push_back(cell);
    } else {
      diff.changed.push_back(std::move(change));
    }
  }
  std::unordered_set<std::string_view> wanted;
  for (const PlannedJob& job : plan.jobs) wanted.insert(job.id);
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    if (!found[i]) diff.dropped.push_back(i);
    for (const RecordedJob& job : recorded[i].jobs)
      if (wanted.insert(job.id).second) diff.orphans.push_back(job);
  }
  return diff;
}

}  // namespace mestre
