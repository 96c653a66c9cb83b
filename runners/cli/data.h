// The commands of `mestre data`, one file each.
#pragma once

#include <string>

#include "core/base/files.h"
#include "runners/cli/command.h"

namespace mestre {

/// A manifest as it was named, else below the data root, as sweep files name it.
[[nodiscard]] fs::path find_manifest(const std::string& name, const Globals& globals);

void register_data_prepare(CLI::App& data, const Globals& globals, Action& chosen);
void register_data_inspect(CLI::App& data, const Globals& globals, Action& chosen);
void register_data_export(CLI::App& data, const Globals& globals, Action& chosen);
void register_data_import(CLI::App& data, const Globals& globals, Action& chosen);

}  // namespace mestre
