// Writing a sweep's report and showing its main table: what `report` does, and `run --report` at its end.
#pragma once

#include <string>

#include "runners/cli/command.h"

namespace mestre {

/// Writes the report of the sweep into `folder`, prints its main table and the path of the report on stdout, and what
/// could not be drawn on stderr. Throws Error (not_found) where there is no such sweep.
void show_report(const std::string& sweep, const Globals& globals, const fs::path& folder);

}  // namespace mestre
