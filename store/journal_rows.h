// The rows that a journal's lines become: one prepared statement for each kind, and no decision about reading.
//
// Everything here needs an open transaction, and throws SQLite::Exception. For the sources of this room only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>

#include "core/journal/attempt.h"
#include "core/journal/folders.h"
#include "core/journal/scanner.h"
#include "store/curve_writer.h"
#include "store/journal_event.h"

namespace mestre {

/// An attempt while its journal is read: what its row says, and what the row will say with the next cursor.
struct AttemptReading {
  fs::path job_folder;
  std::string job;
  std::int64_t job_id = 0;
  int number = 0;
  std::int64_t attempt_id = 0;  // 0: it has no row yet
  JournalCursor cursor;
  std::string outcome;
  bool started = false;
  bool facts_known = false;
  bool quarantined = false;
  // By the last lines, to be written with the cursor; what is not set stays as it is.
  std::optional<double> last_t;
  std::optional<double> progress_done;
  std::optional<double> progress_total;
  std::optional<double> tokens_per_second;

  [[nodiscard]] fs::path folder() const { return attempt_folder(job_folder, number); }
  [[nodiscard]] bool ended() const { return outcome == "finished" || outcome == "failed"; }
};

class JournalRows {
 public:
  explicit JournalRows(SQLite::Database& connection);

  [[nodiscard]] std::optional<std::int64_t> find_job(const std::string& id);
  /// Adds a job as queued.
  std::int64_t add_job(const std::string& id, const std::string& kind, const std::string& spec,
                       std::span<const std::int64_t> needs);

  /// Reads the attempt's row, if it has one, and makes it the one whose points are added.
  void load(AttemptReading& reading);
  /// Gives the attempt a row.
  void need_row(AttemptReading& reading);
  void set_facts(const AttemptReading& reading, const AttemptRecord& record);

  /// The events that stand in the line behind the reading's cursor.
  void add_points(const JournalEvent& event);
  void add_measurement(const AttemptReading& reading, const JournalEvent& event);
  void add_event(const AttemptReading& reading, const JournalEvent& event, std::optional<std::int64_t> step);
  /// Sets valid_through of all attempts of the job, too.
  void set_started(const AttemptReading& reading, const JournalEvent& event);
  /// `finished` makes the job done, too.
  void set_ended(const AttemptReading& reading, const JournalEvent& event);
  void set_quarantined(const AttemptReading& reading, const std::string& reason);

  /// Writes the points that are pending, and the cursor.
  void save_cursor(const AttemptReading& reading);
  /// Forgets points that are pending: the transaction was rolled back.
  void discard() { curves_.discard(); }

 private:
  SQLite::Statement find_job_, insert_job_, insert_need_, finish_job_;
  SQLite::Statement find_attempt_, insert_attempt_, facts_, started_, ended_, supersede_, cursor_, quarantine_;
  SQLite::Statement insert_measurement_, insert_event_;
  CurveWriter curves_;
};

}  // namespace mestre
