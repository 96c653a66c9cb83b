// mestre plan --why and --diff: a plan against what the store has recorded.
#pragma once

#include <string>

#include "core/plan/plan.h"
#include "runners/cli/command.h"

namespace mestre {

/// What one cell would run, why, and where its options come from. Nothing where the file has errors, which are shown on
/// stderr. Throws Error (not_found) where it has no such cell.
[[nodiscard]] std::optional<std::string> why_text(const std::string& file, const std::string& cell,
                                                  const Globals& globals);

/// What the file adds to the sweep as it is recorded in the store, what it keeps, changes and drops.
[[nodiscard]] std::string diff_text(const Plan& plan, const Globals& globals);

}  // namespace mestre
