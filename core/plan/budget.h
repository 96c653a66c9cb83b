// Whether a sweep stays within its budget of GPU-hours, and if not, which of its cells would.
#pragma once

#include <cstddef>
#include <vector>

#include "core/base/diagnostics.h"
#include "core/plan/plan.h"

namespace mestre {

/// GPU-hours of the jobs that are not finished.
struct GpuHours {
  double low = 0;
  double expected = 0;
  double high = 0;
};
[[nodiscard]] GpuHours gpu_hours_left(const Plan& plan);

/// The cells that fit into `hours`, taken in the order in which they would run until one does not fit: contrast first.
/// Finished jobs are free, a job that several cells share is paid once.
[[nodiscard]] std::vector<std::size_t> cells_within(const Plan& plan, double hours);

/// Reports at `place` where the expected hours exceed the budget. 0: no budget.
void check_budget(const Plan& plan, double budget, Position place, Diagnostics& diagnostics);

}  // namespace mestre
