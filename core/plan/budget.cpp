#include "core/plan/budget.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "core/base/units.h"

namespace mestre {
namespace {

double hours(const PlannedJob& job, double seconds) {
  return job.finished ? 0 : seconds / 3600 * static_cast<double>(job.launch.gpus);
}

// "architecture=Samba,seed=1; architecture=Llama-2,seed=1; and 3 more"
std::string list_cells(const Plan& plan, const std::vector<std::size_t>& cells) {
  constexpr std::size_t kMost = 6;
  std::string text;
  for (std::size_t i = 0; i < std::min(cells.size(), kMost); ++i)
    text += fmt::format("{}{}", i > 0 ? "; " : "", escaped(plan.cells[cells[i]].name));
  if (cells.size() > kMost)
    text += fmt::format("; and {} more", with_thousands(static_cast<std::int64_t>(cells.size() - kMost)));
  return text;
}

}  // namespace

GpuHours gpu_hours_left(const Plan& plan) {
  GpuHours sum;
  for (const PlannedJob& job : plan.jobs) {
    sum.low += hours(job, job.estimate.seconds_low);
    sum.expected += hours(job, job.estimate.seconds);
    sum.high += hours(job, job.estimate.seconds_high);
  }
  return sum;
}

std::vector<std::size_t> cells_within(const Plan& plan, double budget) {
  std::vector<std::size_t> order(plan.cells.size());
  std::iota(order.begin(), order.end(), 0);
  const auto priority = [&](std::size_t cell) {
    const std::vector<std::size_t>& jobs = plan.cells[cell].jobs;
    return jobs.empty() ? std::int64_t{0} : plan.jobs[jobs.front()].priority;
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return priority(a) < priority(b); });
  std::vector<bool> paid(plan.jobs.size(), false);
  std::vector<std::size_t> fit;
  double sum = 0;
  for (const std::size_t cell : order) {
    for (const std::size_t job : plan.cells[cell].jobs) {
      if (!paid[job]) sum += hours(plan.jobs[job], plan.jobs[job].estimate.seconds);
      paid[job] = true;
    }
    if (sum > budget) break;
    fit.push_back(cell);
  }
  return fit;
}

void check_budget(const Plan& plan, double budget, Position place, Diagnostics& diagnostics) {
  if (budget <= 0) return;
  const GpuHours left = gpu_hours_left(plan);
  if (left.expected <= budget) return;
  const std::vector<std::size_t> fit = cells_within(plan, budget);
  std::vector<std::string> notes;
  if (fit.empty()) {
    notes.emplace_back("not even the first cell fits");
  } else {
    notes.push_back(fmt::format("{} of {} cells fit, in the order in which they would run: {}",
                                with_thousands(static_cast<std::int64_t>(fit.size())),
                                with_thousands(static_cast<std::int64_t>(plan.cells.size())), list_cells(plan, fit)));
  }
  notes.emplace_back("raise sweep.budget, or drop cells or tokens");
  diagnostics.error(place,
                    fmt::format("the sweep is estimated at {} GPU-hours ({} to {}), more than its budget of {}",
                                rounded(left.expected), rounded(left.low), rounded(left.high), rounded(budget)),
                    std::move(notes));
}

}  // namespace mestre
