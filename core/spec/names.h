// Names and labels in sweep files: what may be one, and the label that a bare value is.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/spec/document.h"

namespace mestre {

enum class NameUse {
  kFolder,  // also names a folder: no slash, no leading dash or dot
  kLabel,   // stands in the selection of cells: no ',' and '='
};

/// Why a text cannot be such a name ("contains a slash"); empty where it can.
[[nodiscard]] std::string fault_of_name(std::string_view name, NameUse use);

/// Whether the value is text that can be such a name; reported where not. `what` is what messages call it.
[[nodiscard]] bool check_name(const std::string& what, const TomlValue& value, NameUse use, Diagnostics& diagnostics);

/// The label that a bare value is; nothing for dates and tables.
[[nodiscard]] std::optional<std::string> label_of(const TomlValue& value);

}  // namespace mestre
