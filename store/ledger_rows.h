// What the sources of the ledger share about reading its rows. For the sources of this room only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>

#include "store/ledger.h"

namespace mestre {

/// A state that this program does not know (of a later version) reads as failed: it is not touched.
[[nodiscard]] JobState parse_state(std::string_view name);
/// Number of the sweep in the store. Throws Error (not_found); its hint lists those that are known.
[[nodiscard]] std::int64_t find_sweep(SQLite::Database& connection, std::string_view name);
[[nodiscard]] std::optional<double> optional_number(SQLite::Statement& row, int column);
[[nodiscard]] std::optional<std::int64_t> optional_integer(SQLite::Statement& row, int column);

}  // namespace mestre
