// How a journal becomes rows. Per attempt: the row with its cursor is looked up, the scanner goes on behind the cursor,
// each line is turned into rows, and in the end the cursor is moved to the last line that was taken. All of it stands
// in one transaction, which may hold many attempts; a long journal is committed in between, always together with its
// cursor. A line either yields all its rows or stops its attempt before any of them is written, so the cursor is right
// wherever reading stops.
#include "store/ingest.h"

#include <algorithm>
#include <optional>

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Transaction.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/hash.h"
#include "core/journal/attempt.h"
#include "core/journal/folders.h"
#include "core/journal/scanner.h"
#include "store/journal_event.h"
#include "store/journal_rows.h"
#include "store/sqlite_error.h"

namespace mestre {
namespace {

constexpr std::size_t kIdDigits = 32;

bool is_job_id(std::string_view name) {
  return name.size() == kIdDigits && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// What ended the reading of a journal before its end.
struct Stop {
  std::string problem;          // empty: nothing did
  bool of_the_journal = false;  // what stands there is wrong; else it only could not be read this time
};

// Where the lock cannot be looked at, it may.
bool may_live(const AttemptReading& reading) {
  try {
    return FileLock::is_held(reading.folder() / "lock");
  } catch (const Error&) {
    return true;
  }
}

}  // namespace

class Ingester::Impl {
 public:
  Impl(Database& database, std::int64_t lines_per_transaction)
      : lines_per_transaction_(lines_per_transaction), connection_(database.connection()), rows_(connection_) {}
  IngestReport ingest(std::span<const fs::path> job_folders);

 private:
  void ingest_job(const fs::path& folder);
  std::optional<std::int64_t> number_of_job(const fs::path& folder);
  std::int64_t add_job(const fs::path& folder);
  void ingest_attempt(AttemptReading& reading);
  void record_facts(AttemptReading& reading);
  Stop read_lines(AttemptReading& reading);
  std::string take(AttemptReading& reading, const JournalEvent& event);
  std::string take_started(AttemptReading& reading, const JournalEvent& event);
  void take_ending(AttemptReading& reading, const JournalEvent& event);
  void add_problem(const fs::path& job_folder, const Error& problem);
  void add_problem(const AttemptReading& reading, const std::string& message, bool quarantined);
  void begin();
  void commit();

  std::int64_t lines_per_transaction_;
  SQLite::Database& connection_;
  JournalRows rows_;
  EventParser parser_;
  std::optional<SQLite::Transaction> transaction_;
  std::int64_t lines_in_transaction_ = 0;
  IngestReport report_;  // of the call in progress
};

void Ingester::Impl::begin() {
  transaction_.emplace(connection_, SQLite::TransactionBehavior::IMMEDIATE);
  lines_in_transaction_ = 0;
}

void Ingester::Impl::commit() {
  transaction_->commit();
  transaction_.reset();
}

IngestReport Ingester::Impl::ingest(std::span<const fs::path> job_folders) {
  report_ = {};
  try {
    begin();
    for (const fs::path& folder : job_folders) {
      ingest_job(folder);
      if (lines_in_transaction_ >= lines_per_transaction_) {
        commit();
        begin();
      }
    }
    commit();
  } catch (...) {
    rows_.discard();
    transaction_.reset();
    throw;
  }
  return std::move(report_);
}

void Ingester::Impl::ingest_job(const fs::path& folder) {
  std::optional<std::int64_t> job_id;
  std::vector<int> attempts;
  try {
    attempts = attempts_of(folder);
  } catch (const Error& problem) {
    add_problem(folder, problem);
  }
  for (const int number : attempts) {
    if (!job_id) job_id = number_of_job(folder);
    if (!job_id) return;
    AttemptReading reading;
    reading.job_folder = folder;
    reading.job = folder.filename().native();
    reading.job_id = *job_id;
    reading.number = number;
    ingest_attempt(reading);
  }
}

std::optional<std::int64_t> Ingester::Impl::number_of_job(const fs::path& folder) {
  if (const auto known = rows_.find_job(folder.filename().native())) return known;
  try {
    return add_job(folder);
  } catch (const Error& problem) {
    add_problem(folder, problem);
    return std::nullopt;
  }
}

// A job that only its folder knows. The jobs that it needs are added first.
std::int64_t Ingester::Impl::add_job(const fs::path& folder) {
  const std::string id = folder.filename().native();
  std::string spec = read_file(folder / "job.json");
  if (spec.ends_with('\n')) spec.pop_back();
  if (xxh3_128(spec) != id)
    throw Error(ErrorCode::kBadInput,
                fmt::format("'{}' is not the spec of job {}", (folder / "job.json").native(), id));
  const JobFacts facts = read_job_facts(spec);
  std::vector<std::int64_t> needs;
  for (const std::string& needed : facts.needs) {
    if (!is_job_id(needed)) continue;
    if (const auto number = number_of_job(sibling_job(folder, needed))) needs.push_back(*number);
  }
  return rows_.add_job(id, facts.kind, spec, needs);
}

// A problem may be one of the moment (a network file system that shows zeros) while the worker lives. Once it is gone
// the journal is opened again, and what is wrong then stays wrong; a journal that could not be read is read the next
// time.
void Ingester::Impl::ingest_attempt(AttemptReading& reading) {
  rows_.load(reading);
  if (reading.quarantined || reading.ended()) return;
  const JournalCursor before = reading.cursor;
  Stop stop = read_lines(reading);
  const bool over = stop.of_the_journal && !may_live(reading);
  if (over) stop = read_lines(reading);
  const bool spoilt = over && stop.of_the_journal;
  if (spoilt) rows_.need_row(reading);
  if (reading.cursor != before || spoilt) {
    record_facts(reading);
    rows_.save_cursor(reading);
  }
  if (stop.problem.empty()) return;
  if (spoilt) rows_.set_quarantined(reading, stop.problem);
  add_problem(reading, stop.problem, spoilt);
}

void Ingester::Impl::add_problem(const fs::path& job_folder, const Error& problem) {
  report_.problems.push_back(
      {.job_folder = job_folder, .attempt = 0, .message = problem.message(), .quarantined = false});
}

void Ingester::Impl::add_problem(const AttemptReading& reading, const std::string& message, bool quarantined) {
  report_.problems.push_back(
      {.job_folder = reading.job_folder, .attempt = reading.number, .message = message, .quarantined = quarantined});
}

// attempt.json is a help to people, not evidence: where it cannot be read the journal counts all the same.
void Ingester::Impl::record_facts(AttemptReading& reading) {
  if (reading.facts_known) return;
  try {
    const auto record = read_attempt_record(reading.folder());
    if (record) rows_.set_facts(reading, *record);
    reading.facts_known = record.has_value();
  } catch (const Error& problem) {
    add_problem(reading, problem.message(), false);
  }
}

/// Reads on to the end, or to what stops it.
Stop Ingester::Impl::read_lines(AttemptReading& reading) {
  try {
    JournalScanner scanner(reading.folder() / "journal.jsonl", reading.cursor);
    while (const auto line = scanner.next()) {
      std::string problem = parser_.parse(*line);
      if (problem.empty()) problem = take(reading, parser_.event());
      if (!problem.empty())
        return {.problem = fmt::format("line {} at byte {} {}", reading.cursor.seq + 1, reading.cursor.offset, problem),
                .of_the_journal = true};
      reading.cursor = scanner.cursor();
      ++report_.lines;
      if (++lines_in_transaction_ >= lines_per_transaction_) {
        rows_.save_cursor(reading);
        commit();
        begin();
      }
      if (reading.ended()) return {};
    }
    return {.problem = scanner.corrupt(), .of_the_journal = !scanner.corrupt().empty()};
  } catch (const Error& problem) {
    return {.problem = problem.message(), .of_the_journal = problem.code() == ErrorCode::kJournalCorrupt};
  }
}

/// Writes one event. Returns why it cannot belong here (then nothing was written), or an empty string.
std::string Ingester::Impl::take(AttemptReading& reading, const JournalEvent& event) {
  if (event.type == EventType::kStarted) return take_started(reading, event);
  // A worker that finds out what is missing before it begins says so without a line 'started'.
  if (!reading.started && event.type != EventType::kFailed) return "stands before the line 'started'";
  rows_.need_row(reading);
  reading.last_t = event.t;
  switch (event.type) {
    case EventType::kMetrics:
      rows_.add_points(event);
      report_.points += static_cast<std::int64_t>(event.metrics.size());
      break;
    case EventType::kMeasurement:
      rows_.add_measurement(reading, event);
      break;
    case EventType::kProgress:
      reading.progress_done = event.done;
      reading.progress_total = event.total;
      if (event.tokens_per_second) reading.tokens_per_second = event.tokens_per_second;
      break;
    case EventType::kCheckpoint:
      rows_.add_event(reading, event, event.step);
      break;
    case EventType::kFailed:
    case EventType::kFinished:
      take_ending(reading, event);
      break;
    case EventType::kStarted:
    case EventType::kOther:
      rows_.add_event(reading, event, std::nullopt);
      break;
  }
  return {};
}

std::string Ingester::Impl::take_started(AttemptReading& reading, const JournalEvent& event) {
  if (reading.started) return "is a second line 'started'";
  if (event.job != reading.job || event.attempt != reading.number)
    return fmt::format("belongs to attempt {} of job {}", event.attempt, event.job);
  rows_.need_row(reading);
  rows_.set_started(reading, event);
  rows_.add_event(reading, event, event.restored_step);
  reading.started = true;
  reading.last_t = event.t;
  return {};
}

void Ingester::Impl::take_ending(AttemptReading& reading, const JournalEvent& event) {
  const bool finished = event.type == EventType::kFinished;
  rows_.set_ended(reading, event);
  rows_.add_event(reading, event, std::nullopt);
  reading.outcome = finished ? "finished" : "failed";
  if (finished && event.tokens_per_second) reading.tokens_per_second = event.tokens_per_second;
}

Ingester::Ingester(Database& database, std::int64_t lines_per_transaction)
    : impl_(guarded(database.path(), [&] { return std::make_unique<Impl>(database, lines_per_transaction); })),
      database_(database) {}
Ingester::~Ingester() = default;

IngestReport Ingester::ingest(std::span<const fs::path> job_folders) {
  return guarded(database_.path(), [&] { return impl_->ingest(job_folders); });
}

}  // namespace mestre
