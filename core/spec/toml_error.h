// What the TOML parser says in its own words, in ours.
#pragma once

#include <string_view>

#include "core/base/diagnostics.h"

namespace mestre {

/// Reports the parser's one error, `description`, which it found at `where` in a registered file.
void report_syntax_error(std::string_view description, Position where, Diagnostics& diagnostics);

}  // namespace mestre
