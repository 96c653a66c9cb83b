// A prepared statement run again with other values. For the sources of this room only.
#pragma once

#include <cstdint>
#include <optional>

#include <SQLiteCpp/Column.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/VariadicBind.h>

namespace mestre {

/// Runs a statement that returns no row. Throws SQLite::Exception.
template <class... Values>
void execute(SQLite::Statement& statement, const Values&... values) {
  statement.tryReset();
  SQLite::bind(statement, values...);
  statement.exec();
}

/// Runs a statement that returns one row, and takes its first column. Throws SQLite::Exception.
template <class... Values>
std::int64_t execute_for_id(SQLite::Statement& statement, const Values&... values) {
  statement.tryReset();
  SQLite::bind(statement, values...);
  statement.executeStep();
  const std::int64_t id = statement.getColumn(0).getInt64();
  statement.tryReset();
  return id;
}

/// Without a value: NULL.
template <class Value>
void bind_optional(SQLite::Statement& statement, int index, const std::optional<Value>& value) {
  if (value) {
    statement.bind(index, *value);
  } else {
    statement.bind(index);
  }
}

}  // namespace mestre
