// Conditions against the grid: what matches no cell, and what contradicts itself in one, is a mistake. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/diagnostics.h"
#include "core/plan/grid.h"

namespace mestre {

/// Reports conditions that no cell meets, overrides that meet in a cell and set one option, what is both
/// solved for and set, and a grid without cells.
/// `hits`, one per exclusion: the cells that it matched.
void check_conditions(const Sweep& sweep, int file, const Grid& grid, const std::vector<std::int64_t>& hits,
                      Diagnostics& diagnostics);

}  // namespace mestre
