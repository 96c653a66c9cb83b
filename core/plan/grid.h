// The grid of a sweep: which combinations of axis labels are cells, in order.
//
// Axes cross in the order in which they stand in the file, the last fastest. An axis with a condition exists only for
// the cells that meet it; the others pass it by. Exclusions then drop cells. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/spec/sweep.h"

namespace mestre {

/// For one cell, the index of its label on each axis; -1 where the axis does not exist for it.
using CellIndex = std::span<const std::int32_t>;

/// Never true for a condition that was written wrong.
[[nodiscard]] bool matches(const Where& where, CellIndex cell);

/// An upper bound of the number of cells: the product of the axes' sizes, INT64_MAX where it overflows. Exact without
/// conditions and exclusions.
[[nodiscard]] std::int64_t grid_size(const std::vector<Axis>& axes);

struct Grid {
  std::size_t axes = 0;
  std::vector<std::int32_t> indices;  // row by row
  std::size_t count = 0;              // of cells; a sweep without axes has one

  [[nodiscard]] CellIndex operator[](std::size_t cell) const { return {indices.data() + cell * axes, axes}; }
};

/// Expands the axes, leaving out what an exclusion matches. `hits`, one per exclusion, counts the cells that each of
/// them matched.
[[nodiscard]] Grid expand(const std::vector<Axis>& axes, const std::vector<Exclusion>& exclusions,
                          std::vector<std::int64_t>& hits);

}  // namespace mestre
