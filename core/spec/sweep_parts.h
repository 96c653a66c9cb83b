// The parts of a sweep file that stand on their own: names, conditions, axes. Used by sweep.cpp only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/spec/sweep.h"

namespace mestre {

/// Text under `key` that can name something: reported and empty where it is missing, no text, or not fit for `folder`s
/// or labels.
enum class NameUse { kFolder, kLabel };
[[nodiscard]] bool check_name(const std::string& what, const TomlValue& value, NameUse use, Diagnostics& diagnostics);

/// The label that a bare value is. Nothing for dates and tables.
[[nodiscard]] std::optional<std::string> label_of(const TomlValue& value);

/// Reads { axis = label, … } or { axis = [label, …] } against the first `axes` axes of the sweep.
[[nodiscard]] Where read_where(const TomlEntry& entry, const std::vector<Axis>& axes, std::size_t count,
                               Diagnostics& diagnostics);

/// Reads the tables of [[axis]] into sweep.axes. Clears sweep.axes_are_sound where there was a mistake.
void read_axes(const TomlValue& list, Sweep& sweep, Diagnostics& diagnostics);

/// Reports two axes that set one option for one cell.
void check_axes_apart(Sweep& sweep, Diagnostics& diagnostics);

/// The keys of a table that hold settings of cells, written out; unknown ones are reported. `others` may stand beside
/// them.
[[nodiscard]] std::vector<Setting> read_cell_settings(const TomlValue& table, const std::vector<std::string>& others,
                                                      const std::string& owner, Diagnostics& diagnostics);

}  // namespace mestre
