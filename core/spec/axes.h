// The axes of a sweep file, and the settings of cells that stand in them.
#pragma once

#include <string>
#include <vector>

#include "core/spec/sweep.h"

namespace mestre {

/// Reads the tables of [[axis]] into sweep.axes. Clears sweep.axes_are_sound where there was a mistake.
void read_axes(const TomlValue& list, Sweep& sweep, Diagnostics& diagnostics);

/// Reports two axes that set one option for one cell, and clears sweep.axes_are_sound.
void check_axes_apart(Sweep& sweep, Diagnostics& diagnostics);

/// The keys of a table that are settings of cells, written out; unknown ones are reported. `others` may stand beside
/// them; `owner` is what messages call the table.
[[nodiscard]] std::vector<Setting> read_cell_settings(const TomlValue& table, const std::vector<std::string>& others,
                                                      const std::string& owner, Diagnostics& diagnostics);

}  // namespace mestre
