// The commands of `mestre data`, one file each.
#pragma once

#include <string>

#include "analysis/table.h"
#include "core/base/files.h"
#include "core/data/manifest.h"
#include "runners/cli/command.h"

namespace mestre {

/// A manifest as it was named, else below the data root, as sweep files name it.
[[nodiscard]] fs::path find_manifest(const std::string& name, const Globals& globals);

/// The components of a mixture with their shares, for people.
[[nodiscard]] Table table_of_components(const Manifest& mixture);

void register_data_prepare(CLI::App& data, const Globals& globals, Action& chosen);
void register_data_inspect(CLI::App& data, const Globals& globals, Action& chosen);
void register_data_mix(CLI::App& data, const Globals& globals, Action& chosen);
void register_data_export(CLI::App& data, const Globals& globals, Action& chosen);
void register_data_import(CLI::App& data, const Globals& globals, Action& chosen);

}  // namespace mestre
