// [[solve]]: one option of the model chosen so that some cells cost what a number says, or what their baseline cell
// costs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/spec/sweep.h"

namespace mestre {

/// The names stand in plans; never rename one.
[[nodiscard]] std::string_view name_of(SolveQuantity quantity);

/// Reads one [[solve]] table. Nothing where it has a mistake that leaves nothing to solve, which is reported.
[[nodiscard]] std::optional<SolveRequest> read_solve(const TomlValue& table, const Sweep& sweep,
                                                     Diagnostics& diagnostics);

}  // namespace mestre
