// extends = "other.toml": a sweep that starts from another one.
//
// The trees are merged before anything is read, and every value keeps its place, so that a mistake is shown in the file
// that has it. The file that extends wins.
#pragma once

#include <optional>
#include <vector>

#include "core/spec/document.h"

namespace mestre {

/// Parses a registered file and what it extends, and merges them: tables key by key; an axis, evaluation, measurement
/// or stage takes the place of the parent's of the same name, others are appended; [[exclude]], [[when]] and [[solve]]
/// are appended to the parent's. `files` gets the files that took part, the first one's parent second. Nothing where
/// one of them cannot be read, which is reported.
[[nodiscard]] std::optional<TomlValue> parse_with_parents(int file, std::vector<int>& files, Diagnostics& diagnostics);

}  // namespace mestre
