// Whether a store can be trusted, and a copy of it that can be kept elsewhere.
//
// Neither changes the store, nor waits for the coordinator. A Database belongs to one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/journal/folders.h"
#include "store/database.h"

namespace mestre {

/// What was compared, and what differed.
struct StoreCheck {
  std::int64_t attempts = 0;
  std::int64_t lines = 0;         // of their journals, read again as far as they were folded in
  std::int64_t points = 0;        // of curves, counted on both sides
  std::int64_t measurements = 0;  // the same
  std::vector<std::string> problems;
};

/// Has SQLite check the file, then reads the journal of every attempt again, as far as the store has it: checksums, the
/// cursor, and the numbers of points and measurements must be the same on both sides. A journal that is gone is a
/// problem: the store could not be rebuilt. Reads all in one snapshot. Throws Error (io, busy) where it cannot.
[[nodiscard]] StoreCheck check_store(Database& database, const Workspace& workspace);

/// Copies the store as it is at one instant into a file of its own (no write-ahead log beside it), which appears under
/// its name when it is whole and on the disk. Throws Error: bad_input where `target` exists, disk_full, io.
void back_up_store(Database& database, const fs::path& target);

}  // namespace mestre
