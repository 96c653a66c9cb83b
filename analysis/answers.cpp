#include "analysis/answers.h"

#include <limits>

namespace mestre {

std::string text_of(const SqlValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? std::string() : *text;
}

std::optional<double> number_of(const SqlValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* text = std::get_if<std::string>(&value)) {
    if (*text == "inf") return std::numeric_limits<double>::infinity();
    if (*text == "-inf") return -std::numeric_limits<double>::infinity();
    if (*text == "nan") return std::numeric_limits<double>::quiet_NaN();
  }
  return std::nullopt;
}

std::optional<std::int64_t> whole_of(const SqlValue& value) {
  const std::optional<double> number = number_of(value);
  if (!number) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

QueryTable ask(Database& database, std::string_view sql, const std::string& sweep) {
  const SqlValue parameters[] = {sweep};
  return query_table(database, sql, parameters, {.rows = std::numeric_limits<std::int64_t>::max()});
}

}  // namespace mestre
