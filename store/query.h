// SQL of users: one statement, read-only, with limits.
//
// The connection must be one for reading; an authorizer allows only SELECT, reading and functions, so that ATTACH,
// PRAGMA, temporary tables, VACUUM INTO and extensions are refused too, and a second statement is an error.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "store/database.h"

namespace mestre {

/// NULL, a whole number, a number, a text. A blob is given as text of hexadecimal digits.
using SqlValue = std::variant<std::monostate, std::int64_t, double, std::string>;

struct QueryLimits {
  std::int64_t rows = 1'000'000;
  std::chrono::milliseconds time{60'000};
};

struct QueryOutcome {
  std::int64_t rows = 0;
  bool truncated = false;  // there were more than limits.rows
};

using OnColumns = std::function<void(std::span<const std::string> names)>;
using OnRow = std::function<void(std::span<const SqlValue> row)>;

/// Runs one SELECT (or WITH, VALUES, EXPLAIN). `on_columns` is called once, then `on_row` for each row.
/// `parameters` bind ?1, ?2 …
/// Throws Error (bad_input) with SQLite's message and the place for what is wrong or refused, and where the time is
/// over.
QueryOutcome run_query(Database& database, std::string_view sql, const OnColumns& on_columns, const OnRow& on_row,
                       const QueryLimits& limits = {}, std::span<const SqlValue> parameters = {});

/// The same, collected.
struct QueryTable {
  std::vector<std::string> columns;
  std::vector<std::vector<SqlValue>> rows;
  bool truncated = false;
};
[[nodiscard]] QueryTable query_table(Database& database, std::string_view sql,
                                     std::span<const SqlValue> parameters = {}, const QueryLimits& limits = {});

}  // namespace mestre
