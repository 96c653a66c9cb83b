#include "store/check.h"

#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Transaction.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/journal/scanner.h"
#include "store/journal_event.h"
#include "store/sqlite_error.h"
#include "store/statement.h"

namespace mestre {
namespace {

// One row per attempt that a journal was read of. Chunks of an attempt hold its points by name.
constexpr const char* kAttempts = R"(
  SELECT job.id, attempt.number, attempt.cursor_offset, attempt.cursor_seq, attempt.cursor_crc,
         (SELECT coalesce(sum(count), 0) FROM curve_chunk WHERE curve_chunk.attempt_id = attempt.attempt_id),
         (SELECT count(*) FROM measurement WHERE measurement.attempt_id = attempt.attempt_id)
  FROM attempt JOIN job USING (job_id)
  WHERE attempt.cursor_seq > 0
  ORDER BY job.id, attempt.number)";

/// What came of a journal: by its lines, or by the store.
struct Harvest {
  JournalCursor cursor;
  std::int64_t points = 0;
  std::int64_t measurements = 0;
};

/// Reads a journal from its begin until it stands where the store stands, or cannot go on.
class JournalReader {
 public:
  /// `problem` says why it could not go on.
  Harvest read(const fs::path& journal, const JournalCursor& end, std::string& problem) {
    Harvest found;
    JournalScanner scanner(journal, {});
    while (scanner.cursor().seq < end.seq) {
      const auto line = scanner.next();
      if (!line) {
        problem = scanner.corrupt().empty() ? "is not there" : scanner.corrupt();
        break;
      }
      problem = parser_.parse(*line);
      if (!problem.empty()) break;
      const JournalEvent& event = parser_.event();
      if (event.type == EventType::kMetrics) found.points += static_cast<std::int64_t>(event.metrics.size());
      if (event.type == EventType::kMeasurement) ++found.measurements;
    }
    found.cursor = scanner.cursor();
    return found;
  }

 private:
  EventParser parser_;
};

std::string difference(const Harvest& journal, const Harvest& store) {
  if (journal.cursor != store.cursor)
    return fmt::format("line {} ends at byte {} with checksum {}, and the store has byte {} and checksum {}",
                       store.cursor.seq, journal.cursor.offset, journal.cursor.crc, store.cursor.offset,
                       store.cursor.crc);
  if (journal.points != store.points)
    return fmt::format("it has {} points to line {}, and the store {}", journal.points, store.cursor.seq, store.points);
  if (journal.measurements != store.measurements)
    return fmt::format("it has {} measurements to line {}, and the store {}", journal.measurements, store.cursor.seq,
                       store.measurements);
  return {};
}

// Why the journal does not bear out what the store says of it; empty where it does.
std::string problem_of(JournalReader& reader, const fs::path& journal, const Harvest& store, StoreCheck& check) {
  if (!fs::exists(journal)) return "is gone: the store could not be rebuilt";
  std::string problem;
  Harvest found;
  try {
    found = reader.read(journal, store.cursor, problem);
  } catch (const Error& error) {
    return error.message();
  }
  check.lines += found.cursor.seq;
  check.points += found.points;
  check.measurements += found.measurements;
  if (!problem.empty())
    return fmt::format("line {}: {}; the store has it to line {}", found.cursor.seq + 1, problem, store.cursor.seq);
  return difference(found, store);
}

void check_file(SQLite::Database& connection, StoreCheck& check) {
  SQLite::Statement integrity(connection, "PRAGMA integrity_check");
  while (integrity.executeStep())
    if (const std::string words = integrity.getColumn(0).getString(); words != "ok")
      check.problems.push_back("the file is damaged: " + words);
  SQLite::Statement references(connection, "PRAGMA foreign_key_check");
  while (references.executeStep())
    check.problems.push_back(fmt::format("a row of '{}' refers to one of '{}' that is not there",
                                         references.getColumn(0).getString(), references.getColumn(2).getString()));
}

}  // namespace

StoreCheck check_store(Database& database, const Workspace& workspace) {
  return guarded(database.path(), [&] {
    StoreCheck check;
    const SQLite::Transaction snapshot(database.connection());  // ends without a commit: there is nothing to commit
    check_file(database.connection(), check);
    JournalReader reader;
    SQLite::Statement row(database.connection(), kAttempts);
    while (row.executeStep()) {
      ++check.attempts;
      const Harvest store{.cursor = {.offset = row.getColumn(2).getInt64(),
                                     .seq = row.getColumn(3).getInt64(),
                                     .crc = static_cast<std::uint32_t>(row.getColumn(4).getInt64())},
                          .points = row.getColumn(5).getInt64(),
                          .measurements = row.getColumn(6).getInt64()};
      const fs::path journal =
          attempt_folder(workspace.job(row.getColumn(0).getString()), row.getColumn(1).getInt()) / "journal.jsonl";
      const std::string problem = problem_of(reader, journal, store, check);
      if (!problem.empty()) check.problems.push_back(fmt::format("{}: {}", journal.native(), problem));
    }
    return check;
  });
}

void back_up_store(Database& database, const fs::path& target) {
  if (fs::exists(target))
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' exists", target.native()))
        .hint("expected the name of a new file: a backup never replaces anything");
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  const fs::path partial = folder / ("." + target.filename().native() + ".partial");
  try {
    guarded(partial, [&] {
      std::error_code ignored;
      fs::remove(partial, ignored);
      SQLite::Database copy(partial.native(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
      SQLite::Backup backup(copy, database.connection());
      backup.executeStep();
    });
    guarded(partial, [&] {  // one file, whole without a log beside it
      SQLite::Database copy(partial.native(), SQLite::OPEN_READWRITE);
      copy.exec("PRAGMA journal_mode = DELETE");
    });
    publish_file(partial, target);
  } catch (...) {
    std::error_code ignored;
    fs::remove(partial, ignored);
    throw;
  }
}

}  // namespace mestre
