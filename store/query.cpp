#include "store/query.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>

#include <SQLiteCpp/Database.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sqlite3.h>

#include "core/base/error.h"
#include "store/sqlite_error.h"

namespace mestre {
namespace {

constexpr int kInstructionsPerLook = 4'000;       // of SQLite's machine, between two looks at the clock
constexpr int kMaximumBytes = 256 * 1024 * 1024;  // of one value, so that one function call cannot take all memory
constexpr std::size_t kExcerptBytes = 60;

using Clock = std::chrono::steady_clock;

// What is asked for besides reading, as users know it; the codes are SQLite's.
std::string_view name_of_action(int action) {
  switch (action) {
    case SQLITE_ATTACH:
      return "ATTACH";
    case SQLITE_DETACH:
      return "DETACH";
    case SQLITE_PRAGMA:
      return "PRAGMA";
    case SQLITE_INSERT:
      return "INSERT";
    case SQLITE_UPDATE:
      return "UPDATE";
    case SQLITE_DELETE:
      return "DELETE";
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
      return "a transaction";
    case SQLITE_FUNCTION:
      return "this function";
    default:
      return "a statement that writes";
  }
}

// Reading with limits, on a connection that gets back its freedom in the end.
class Guard {
 public:
  Guard(sqlite3* connection, std::chrono::milliseconds time) : connection_(connection), deadline_(Clock::now() + time) {
    // At its first use on a connection SQLite declares a table-valued function, and asks for leave to update its schema
    // for that.
    sqlite3_exec(connection_, "SELECT 1 FROM json_each('[]'), json_tree('[]')", nullptr, nullptr, nullptr);
    sqlite3_set_authorizer(connection_, &Guard::authorize, this);
    sqlite3_progress_handler(connection_, kInstructionsPerLook, &Guard::look_at_clock, this);
    previous_length_ = sqlite3_limit(connection_, SQLITE_LIMIT_LENGTH, kMaximumBytes);
  }
  ~Guard() {
    sqlite3_limit(connection_, SQLITE_LIMIT_LENGTH, previous_length_);
    sqlite3_progress_handler(connection_, 0, nullptr, nullptr);
    sqlite3_set_authorizer(connection_, nullptr, nullptr);
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  [[nodiscard]] std::optional<int> refused() const { return refused_; }
  [[nodiscard]] bool late() const { return late_; }

 private:
  static int authorize(void* self, int action, const char* /*table*/, const char* name, const char*, const char*) {
    const bool loads_code = action == SQLITE_FUNCTION && name != nullptr && std::string_view(name) == "load_extension";
    const bool reads =
        action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_FUNCTION || action == SQLITE_RECURSIVE;
    if (reads && !loads_code) return SQLITE_OK;
    static_cast<Guard*>(self)->refused_ = action;
    return SQLITE_DENY;
  }
  static int look_at_clock(void* self) {
    auto* guard = static_cast<Guard*>(self);
    guard->late_ = Clock::now() > guard->deadline_;
    return guard->late_ ? 1 : 0;
  }

  sqlite3* connection_;
  Clock::time_point deadline_;
  int previous_length_ = 0;
  std::optional<int> refused_;
  bool late_ = false;
};

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

// The line of `sql` around byte `offset` and a caret below it.
void add_excerpt(Error& error, std::string_view sql, std::size_t offset) {
  const std::size_t line_start = sql.rfind('\n', offset == 0 ? 0 : offset - 1);
  std::size_t start = line_start == std::string_view::npos || line_start >= offset ? 0 : line_start + 1;
  if (offset - start > kExcerptBytes) start = offset - kExcerptBytes;
  const std::size_t end = std::min(sql.find('\n', offset), std::min(sql.size(), offset + kExcerptBytes));
  error.hint(std::string(sql.substr(start, end - start)));
  error.hint(std::string(offset - start, ' ') + "^");
}

Error failure(sqlite3* connection, int code, std::string_view sql, const Guard& guard, const QueryLimits& limits,
              const fs::path& path) {
  if (guard.late())
    return Error(ErrorCode::kBadInput,
                 fmt::format("the query took longer than {} s", static_cast<double>(limits.time.count()) / 1000))
        .hint("narrow it with WHERE, or allow it more time");
  if (guard.refused())
    return Error(ErrorCode::kBadInput,
                 fmt::format("the query is refused: {} is not allowed", name_of_action(*guard.refused())))
        .hint("the store is only read here: SELECT, WITH, VALUES and EXPLAIN");
  if (code == SQLITE_TOOBIG)
    return Error(ErrorCode::kBadInput, "the query makes a value that is too big").hint("select less in one value");
  if (code != SQLITE_ERROR && code != SQLITE_RANGE && code != SQLITE_MISMATCH)
    return store_error(SQLite::Exception(connection, code), path);
  Error error(ErrorCode::kBadInput, fmt::format("the query cannot be run: {}", sqlite3_errmsg(connection)));
  const int offset = sqlite3_error_offset(connection);
  if (offset >= 0 && static_cast<std::size_t>(offset) <= sql.size())
    add_excerpt(error, sql, static_cast<std::size_t>(offset));
  return error;
}

void bind_parameters(sqlite3_stmt* statement, std::span<const SqlValue> parameters) {
  const int expected = sqlite3_bind_parameter_count(statement);
  if (static_cast<std::size_t>(expected) != parameters.size())
    throw Error(ErrorCode::kBadInput,
                fmt::format("the query has {} parameters, {} values were given", expected, parameters.size()));
  int index = 0;
  for (const SqlValue& value : parameters) {
    ++index;
    if (const auto* integer = std::get_if<std::int64_t>(&value)) sqlite3_bind_int64(statement, index, *integer);
    if (const auto* number = std::get_if<double>(&value)) sqlite3_bind_double(statement, index, *number);
    if (const auto* text = std::get_if<std::string>(&value))
      sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  }
}

std::string hexadecimal(const void* bytes, int size) {
  const auto* first = static_cast<const unsigned char*>(bytes);
  return fmt::format("{:02x}", fmt::join(first, first + size, ""));
}

SqlValue value_of(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return static_cast<std::int64_t>(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      return std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement, column)));
    }
    case SQLITE_BLOB: {
      const void* bytes = sqlite3_column_blob(statement, column);
      return hexadecimal(bytes, sqlite3_column_bytes(statement, column));
    }
    default:
      return std::monostate{};
  }
}

// Comments, blanks and semicolons may follow the statement; SQLite itself says whether there is more.
void refuse_second_statement(sqlite3* connection, std::string_view tail) {
  while (!tail.empty()) {
    sqlite3_stmt* next = nullptr;
    const char* rest = nullptr;
    const int code = sqlite3_prepare_v2(connection, tail.data(), static_cast<int>(tail.size()), &next, &rest);
    const Statement owner(next);
    if (code != SQLITE_OK || next != nullptr)
      throw Error(ErrorCode::kBadInput, "the query has a second statement, which is refused")
          .hint(fmt::format("it begins with '{}'", tail.substr(0, std::min(tail.size(), kExcerptBytes))))
          .hint("run one statement at a time");
    tail.remove_prefix(static_cast<std::size_t>(rest - tail.data()));
  }
}

QueryOutcome step_through(sqlite3* connection, sqlite3_stmt* statement, const OnColumns& on_columns,
                          const OnRow& on_row, const QueryLimits& limits, const std::function<Error(int)>& as_error) {
  const int width = sqlite3_column_count(statement);
  std::vector<std::string> names;
  for (int column = 0; column < width; ++column) names.emplace_back(sqlite3_column_name(statement, column));
  if (on_columns) on_columns(names);
  QueryOutcome outcome;
  std::vector<SqlValue> row(names.size());
  for (;;) {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) return outcome;
    if (code != SQLITE_ROW) throw as_error(sqlite3_extended_errcode(connection) & 0xFF);
    if (outcome.rows == limits.rows) {
      outcome.truncated = true;
      return outcome;
    }
    for (int column = 0; column < width; ++column) row[static_cast<std::size_t>(column)] = value_of(statement, column);
    ++outcome.rows;
    if (on_row) on_row(row);
  }
}

}  // namespace

QueryOutcome run_query(Database& database, std::string_view sql, const OnColumns& on_columns, const OnRow& on_row,
                       const QueryLimits& limits, std::span<const SqlValue> parameters) {
  sqlite3* connection = guarded(database.path(), [&] { return database.connection().getHandle(); });
  if (sql.find('\0') != std::string_view::npos) throw Error(ErrorCode::kBadInput, "the query contains a zero byte");
  const Guard guard(connection, limits.time);
  const auto as_error = [&](int code) { return failure(connection, code, sql, guard, limits, database.path()); };

  sqlite3_stmt* prepared = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v2(connection, sql.data(), static_cast<int>(sql.size()), &prepared, &rest);
  const Statement statement(prepared);
  if (code != SQLITE_OK) throw as_error(code);
  if (!statement || sqlite3_column_count(prepared) == 0)
    throw Error(ErrorCode::kBadInput, "the query has no statement that gives rows")
        .hint("write a SELECT; 'SELECT * FROM runs' shows the runs");
  refuse_second_statement(connection, sql.substr(static_cast<std::size_t>(rest - sql.data())));
  bind_parameters(prepared, parameters);
  return step_through(connection, prepared, on_columns, on_row, limits, as_error);
}

QueryTable query_table(Database& database, std::string_view sql, std::span<const SqlValue> parameters,
                       const QueryLimits& limits) {
  QueryTable table;
  const QueryOutcome outcome = run_query(
      database, sql, [&](std::span<const std::string> names) { table.columns.assign(names.begin(), names.end()); },
      [&](std::span<const SqlValue> row) { table.rows.emplace_back(row.begin(), row.end()); }, limits, parameters);
  table.truncated = outcome.truncated;
  return table;
}

}  // namespace mestre
