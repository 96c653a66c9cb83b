// A model that only a foreign worker knows: [model] without layers, handed on as it is.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/spec/settings.h"

namespace mestre {

/// Whether the settings of [model] are meant for the worker alone: there are some, and none of them is `layers`.
[[nodiscard]] bool is_free_model(const std::vector<const Setting*>& settings);

/// {"options":{…}} with the values as they stand in the file, keys sorted. Nothing where one has no place in JSON
/// (dates, nan), which is reported.
[[nodiscard]] std::optional<std::string> free_model_json(const std::vector<const Setting*>& settings,
                                                         Diagnostics& diagnostics);

}  // namespace mestre
