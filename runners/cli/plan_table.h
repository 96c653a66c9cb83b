// A plan as people read it. Pure functions of the plan, so the same plan gives the same bytes.
#pragma once

#include <string>

#include "core/plan/plan.h"

namespace mestre {

/// "12 cells", "1 cell", "3 series".
[[nodiscard]] std::string plural(const std::string& noun, std::size_t count);
/// "quickstart: 15 cells (5 architectures x 3 seeds), 15 to run, 0 done"
[[nodiscard]] std::string headline(const Plan& plan);

/// What `mestre plan` prints: a row for the cells that differ in seeds only, totals, the data. `slots`: CPU slots for
/// the total time.
[[nodiscard]] std::string plan_text(const Plan& plan, int slots);
/// Every cell with the ids and states of its jobs.
[[nodiscard]] std::string cells_text(const Plan& plan);

}  // namespace mestre
