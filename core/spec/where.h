// Conditions on the labels of a cell: where = { architecture = "Samba", seed = [1, 2] }.
#pragma once

#include <vector>

#include "core/spec/sweep.h"

namespace mestre {

/// Reads a condition against the axes known so far. Unknown axes and labels are reported.
[[nodiscard]] Where read_where(const TomlEntry& entry, const std::vector<Axis>& axes, Diagnostics& diagnostics);

/// Whether no cell can meet both: there is an axis on which they allow no common label.
[[nodiscard]] bool are_disjoint(const Where& a, const Where& b);

}  // namespace mestre
