// What the store answers to a question about a sweep, as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/query.h"

namespace mestre {

/// All rows; ?1 is the sweep.
[[nodiscard]] QueryTable ask(Database& database, std::string_view sql, const std::string& sweep);

/// Empty where it is no text.
[[nodiscard]] std::string text_of(const SqlValue& value);
/// Nothing where it is no number; the store writes those that are not finite as text.
[[nodiscard]] std::optional<double> number_of(const SqlValue& value);
[[nodiscard]] std::optional<std::int64_t> whole_of(const SqlValue& value);

}  // namespace mestre
