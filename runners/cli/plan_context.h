// What a plan may know of the past, read from the workspace's database.
#pragma once

#include "core/plan/plan.h"
#include "runners/cli/command.h"

namespace mestre {

/// Finished jobs and measured speeds where there is a database, else nothing but the data root. Opens it for reading
/// only.
[[nodiscard]] PlanContext plan_context(const Globals& globals);

}  // namespace mestre
