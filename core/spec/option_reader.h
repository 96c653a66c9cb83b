// TOML values as values of options: types, units, ranges, choices. Every mistake is reported where it stands.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/spec/option_schema.h"
#include "core/spec/settings.h"

namespace mestre {

/// The value as the field wants it. Nothing where it is none, and that was reported; `name` is what messages call the
/// option ("train.tokens").
[[nodiscard]] std::optional<OptionValue> read_option(const OptionField& field, const std::string& name,
                                                     const TomlValue& value, Diagnostics& diagnostics);

/// One setting read against a schema.
struct ReadSetting {
  int field = -1;  // index in the schema
  const Setting* setting = nullptr;
  std::optional<OptionValue> value;  // nothing where it was wrong
};

/// Reads settings whose key is `prefix` parts long and then names an option. Unknown options are reported with the
/// nearest name, and so is what goes deeper. `owner` is what messages call the struct ("[train]"). A misspelt option
/// that is nearly a field is returned without value, so that the field is not reported as missing besides.
[[nodiscard]] std::vector<ReadSetting> read_settings(const OptionSchema& schema,
                                                     const std::vector<const Setting*>& settings, std::size_t prefix,
                                                     const std::string& owner, Diagnostics& diagnostics);

/// Whether required options must be set.
enum class Completeness { kComplete, kPartial };

/// Sets `options` from what was read (later wins). False where a value was wrong or a required option is missing, which
/// is reported at `where`. `sources`, one per field, tells who set each; nullptr: nobody.
bool apply_settings(const OptionSchema& schema, const std::vector<const ReadSetting*>& read, Options& options,
                    std::vector<const Setting*>& sources, const std::string& owner, Position where,
                    Diagnostics& diagnostics, Completeness completeness = Completeness::kComplete);

/// Both for one table that stands alone: `places` tells where each field that was set has its value.
bool read_table(const std::vector<Setting>& settings, std::size_t prefix, Options& options,
                std::map<std::string, Position, std::less<>>& places, const std::string& owner, Position where,
                Diagnostics& diagnostics);

}  // namespace mestre
