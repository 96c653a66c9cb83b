// How a journal becomes rows. Per attempt: the row with its cursor is looked up, the scanner goes on behind the cursor,
// each line is turned into rows, and in the end the cursor is moved to the last line that was taken. All of it stands
// in one transaction, which may hold many attempts; a long journal is committed in between, always together with its
// cursor. A line either yields all its rows or stops its attempt before any of them is written, so the cursor is right
// wherever reading stops.
#include "store/ingest.h"

#include <algorithm>
#include <optional>

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/Transaction.h>
#include <SQLiteCpp/VariadicBind.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/hash.h"
#include "core/base/options.h"
#include "core/journal/attempt.h"
#include "core/journal/folders.h"
#include "core/journal/scanner.h"
#include "store/curve_writer.h"
#include "store/journal_event.h"
#include "store/sqlite_error.h"

namespace mestre {
namespace {

constexpr std::size_t kIdDigits = 32;

/// The attempt that is being read.
struct Reading {
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
  // By the last lines, to be written with the cursor.
  std::optional<double> last_t;
  std::optional<double> progress_done;
  std::optional<double> progress_total;
  std::optional<double> tokens_per_second;
};

template <class Value>
void bind_optional(SQLite::Statement& statement, int index, const std::optional<Value>& value) {
  if (value) {
    statement.bind(index, *value);
  } else {
    statement.bind(index);
  }
}

template <class... Values>
void execute(SQLite::Statement& statement, const Values&... values) {
  statement.tryReset();
  SQLite::bind(statement, values...);
  statement.exec();
}

std::string json_texts(const std::vector<std::string>& texts) {
  std::string array = "[";
  for (const std::string& text : texts) {
    if (array.size() > 1) array += ',';
    append_json_string(array, text);
  }
  return array + "]";
}

bool is_job_id(std::string_view name) {
  return name.size() == kIdDigits && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Nothing where there is no such folder.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code problem;
  for (fs::directory_iterator entry(folder, problem), end; !problem && entry != end; entry.increment(problem))
    found.push_back(entry->path());
  if (problem && problem != std::errc::no_such_file_or_directory && problem != std::errc::not_a_directory)
    throw system_error(problem.value(), "read folder", folder.native());
  return found;
}

}  // namespace

class Ingester::Impl {
 public:
  Impl(Database& database, std::int64_t lines_per_transaction);
  IngestReport ingest(std::span<const fs::path> job_folders);

 private:
  void ingest_job(const fs::path& folder);
  std::optional<std::int64_t> number_of_job(const fs::path& folder);
  std::int64_t add_job(const fs::path& folder);
  void ingest_attempt(Reading& reading);
  void look_up(Reading& reading);
  void need_row(Reading& reading);
  void record_facts(Reading& reading);
  std::string read_lines(Reading& reading);
  std::string take(Reading& reading, const JournalEvent& event);
  std::string take_started(Reading& reading, const JournalEvent& event);
  void take_ending(Reading& reading, const JournalEvent& event);
  void add_event(const Reading& reading, const JournalEvent& event, std::optional<std::int64_t> step);
  void supersede_earlier(std::int64_t job_id);
  void quarantine(Reading& reading, const std::string& reason);
  void save_cursor(Reading& reading);
  void begin();
  void commit();

  std::int64_t lines_per_transaction_;
  SQLite::Database& connection_;
  SQLite::Statement find_job_, insert_job_, insert_need_, finish_job_;
  SQLite::Statement find_attempt_, insert_attempt_, facts_, started_, ended_, supersede_, cursor_, quarantine_;
  SQLite::Statement insert_measurement_, insert_event_;
  CurveWriter curves_;
  EventParser parser_;
  std::optional<SQLite::Transaction> transaction_;
  std::int64_t lines_in_transaction_ = 0;
  // What the open transaction will make true, and what the last commit made true.
  IngestReport report_;
};

Ingester::Impl::Impl(Database& database, std::int64_t lines_per_transaction)
    : lines_per_transaction_(lines_per_transaction),
      connection_(database.connection()),
      find_job_(connection_, "SELECT job_id FROM job WHERE id = ?"),
      insert_job_(connection_,
                  "INSERT INTO job (id, kind, state, state_at, speed_key, launch, estimate, spec) "
                  "VALUES (?, ?, 'queued', ?, '', '{}', '{}', ?) RETURNING job_id"),
      insert_need_(connection_, "INSERT OR IGNORE INTO job_need (job_id, needs_id) VALUES (?, ?)"),
      finish_job_(connection_, "UPDATE job SET state = 'done', state_at = ?2 WHERE job_id = ?1 AND state <> 'done'"),
      find_attempt_(
          connection_,
          "SELECT attempt_id, cursor_offset, cursor_seq, cursor_crc, coalesce(outcome, ''), "
          "started_at IS NOT NULL, host <> '', quarantine <> '' FROM attempt WHERE job_id = ? AND number = ?"),
      insert_attempt_(connection_, "INSERT INTO attempt (job_id, number) VALUES (?, ?) RETURNING attempt_id"),
      facts_(connection_,
             "UPDATE attempt SET token = ?2, host = ?3, devices = ?4, threads = ?5, micro_batch = ?6, versions = ?7, "
             "git_commit = ?8, git_dirty = ?9 WHERE attempt_id = ?1"),
      started_(connection_,
               "UPDATE attempt SET started_at = ?2, steps = ?3, restored_step = ?4, restored_file = ?5, "
               "restored_digest = ?6 WHERE attempt_id = ?1"),
      ended_(connection_,
             "UPDATE attempt SET outcome = ?2, ended_at = ?3, cause = ?4, message = ?5, summary = ?6 "
             "WHERE attempt_id = ?1"),
      supersede_(connection_,
                 "UPDATE attempt SET valid_through = (SELECT min(coalesce(later.restored_step, 0)) "
                 "FROM attempt AS later WHERE later.job_id = attempt.job_id AND later.number > attempt.number "
                 "AND later.started_at IS NOT NULL) WHERE job_id = ?"),
      cursor_(connection_,
              "UPDATE attempt SET cursor_offset = ?2, cursor_seq = ?3, cursor_crc = ?4, last_t = coalesce(?5, last_t), "
              "progress_done = coalesce(?6, progress_done), progress_total = coalesce(?7, progress_total), "
              "tokens_per_second = coalesce(?8, tokens_per_second) WHERE attempt_id = ?1"),
      quarantine_(connection_, "UPDATE attempt SET quarantine = ?2 WHERE attempt_id = ?1"),
      insert_measurement_(connection_,
                          "INSERT INTO measurement (attempt_id, seq, t, name, unit, dtype, axes, details, data) "
                          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      insert_event_(connection_, "INSERT INTO event (attempt_id, seq, t, type, step, data) VALUES (?, ?, ?, ?, ?, ?)"),
      curves_(connection_) {}

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
    curves_.discard();
    transaction_.reset();
    throw;
  }
  return std::move(report_);
}

void Ingester::Impl::ingest_job(const fs::path& folder) {
  std::optional<std::int64_t> job_id;
  for (const int number : attempts_of(folder)) {
    if (!job_id) job_id = number_of_job(folder);
    if (!job_id) return;
    Reading reading;
    reading.job_folder = folder;
    reading.job = folder.filename().native();
    reading.job_id = *job_id;
    reading.number = number;
    ingest_attempt(reading);
  }
}

std::optional<std::int64_t> Ingester::Impl::number_of_job(const fs::path& folder) {
  find_job_.tryReset();
  find_job_.bind(1, folder.filename().native());
  std::optional<std::int64_t> job_id;
  if (find_job_.executeStep()) job_id = find_job_.getColumn(0).getInt64();
  find_job_.tryReset();
  if (job_id) return job_id;
  try {
    return add_job(folder);
  } catch (const Error& problem) {
    report_.problems.push_back(
        {.job_folder = folder, .attempt = 0, .message = problem.message(), .quarantined = false});
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
  insert_job_.tryReset();
  SQLite::bind(insert_job_, id, facts.kind, now_seconds(), spec);
  insert_job_.executeStep();
  const std::int64_t job_id = insert_job_.getColumn(0).getInt64();
  insert_job_.tryReset();
  for (const std::int64_t needed : needs) execute(insert_need_, job_id, needed);
  return job_id;
}

// A problem may be one of the moment (a network file system that shows zeros) while the worker lives. Once it is gone
// the journal is opened again, and what is wrong then stays wrong.
void Ingester::Impl::ingest_attempt(Reading& reading) {
  look_up(reading);
  if (reading.quarantined || reading.outcome == "finished" || reading.outcome == "failed") return;
  curves_.begin(reading.attempt_id);
  const JournalCursor before = reading.cursor;
  std::string problem = read_lines(reading);
  const bool over = !problem.empty() && !FileLock::is_held(attempt_folder(reading.job_folder, reading.number) / "lock");
  if (over) problem = read_lines(reading);
  if (reading.cursor != before) {
    record_facts(reading);
    save_cursor(reading);
  }
  if (problem.empty()) return;
  if (over) quarantine(reading, problem);
  report_.problems.push_back(
      {.job_folder = reading.job_folder, .attempt = reading.number, .message = problem, .quarantined = over});
}

void Ingester::Impl::look_up(Reading& reading) {
  find_attempt_.tryReset();
  SQLite::bind(find_attempt_, reading.job_id, reading.number);
  if (!find_attempt_.executeStep()) return;
  reading.attempt_id = find_attempt_.getColumn(0).getInt64();
  reading.cursor = {.offset = find_attempt_.getColumn(1).getInt64(),
                    .seq = find_attempt_.getColumn(2).getInt64(),
                    .crc = static_cast<std::uint32_t>(find_attempt_.getColumn(3).getInt64())};
  reading.outcome = find_attempt_.getColumn(4).getString();
  reading.started = find_attempt_.getColumn(5).getInt() != 0;
  reading.facts_known = find_attempt_.getColumn(6).getInt() != 0;
  reading.quarantined = find_attempt_.getColumn(7).getInt() != 0;
  find_attempt_.tryReset();
}

void Ingester::Impl::need_row(Reading& reading) {
  if (reading.attempt_id != 0) return;
  insert_attempt_.tryReset();
  SQLite::bind(insert_attempt_, reading.job_id, reading.number);
  insert_attempt_.executeStep();
  reading.attempt_id = insert_attempt_.getColumn(0).getInt64();
  insert_attempt_.tryReset();
  curves_.begin(reading.attempt_id);
}

// attempt.json is a help to people, not evidence: where it cannot be read the journal counts all the same.
void Ingester::Impl::record_facts(Reading& reading) {
  if (reading.facts_known) return;
  try {
    const auto record = read_attempt_record(attempt_folder(reading.job_folder, reading.number));
    if (!record) return;
    JsonObject versions;
    for (const auto& [name, version] : record->versions) versions.text(name, version);
    execute(facts_, reading.attempt_id, record->token, record->process.host, json_texts(record->devices),
            record->threads, record->micro_batch, versions.str(), record->commit, record->dirty ? 1 : 0);
    reading.facts_known = true;
  } catch (const Error& problem) {
    report_.problems.push_back({.job_folder = reading.job_folder,
                                .attempt = reading.number,
                                .message = problem.message(),
                                .quarantined = false});
  }
}

/// Reads on to the end, and returns what stopped it before, or an empty string.
std::string Ingester::Impl::read_lines(Reading& reading) {
  try {
    JournalScanner scanner(attempt_folder(reading.job_folder, reading.number) / "journal.jsonl", reading.cursor);
    while (const auto line = scanner.next()) {
      std::string problem = parser_.parse(*line);
      if (problem.empty()) problem = take(reading, parser_.event());
      if (!problem.empty())
        return fmt::format("line {} at byte {} {}", reading.cursor.seq + 1, reading.cursor.offset, problem);
      reading.cursor = scanner.cursor();
      ++report_.lines;
      if (++lines_in_transaction_ >= lines_per_transaction_) {
        save_cursor(reading);
        commit();
        begin();
      }
      if (!reading.outcome.empty() && reading.outcome != "killed") return {};
    }
    return scanner.corrupt();
  } catch (const Error& problem) {
    return problem.message();
  }
}

/// Writes one event. Returns why it cannot belong here (then nothing was written), or an empty string.
std::string Ingester::Impl::take(Reading& reading, const JournalEvent& event) {
  if (event.type == EventType::kStarted) return take_started(reading, event);
  if (!reading.started) return "stands before the line 'started'";
  reading.last_t = event.t;
  switch (event.type) {
    case EventType::kMetrics:
      for (const MetricValue& metric : event.metrics) curves_.add(metric.name, event.step, metric.value, event.t_text);
      report_.points += static_cast<std::int64_t>(event.metrics.size());
      break;
    case EventType::kMeasurement:
      execute(insert_measurement_, reading.attempt_id, reading.cursor.seq + 1, event.t, event.name, event.unit,
              event.dtype, event.axes, event.details, event.values);
      break;
    case EventType::kProgress:
      reading.progress_done = event.done;
      reading.progress_total = event.total;
      if (event.tokens_per_second) reading.tokens_per_second = event.tokens_per_second;
      break;
    case EventType::kCheckpoint:
      add_event(reading, event, event.step);
      break;
    case EventType::kFailed:
    case EventType::kFinished:
      take_ending(reading, event);
      break;
    case EventType::kStarted:
    case EventType::kOther:
      add_event(reading, event, std::nullopt);
      break;
  }
  return {};
}

std::string Ingester::Impl::take_started(Reading& reading, const JournalEvent& event) {
  if (reading.started) return "is a second line 'started'";
  if (event.job != reading.job || event.attempt != reading.number)
    return fmt::format("belongs to attempt {} of job {}", event.attempt, event.job);
  need_row(reading);
  started_.tryReset();
  started_.bind(1, reading.attempt_id);
  started_.bind(2, event.t);
  started_.bind(3, event.steps);
  bind_optional(started_, 4, event.restored_step);
  started_.bind(5, event.restored_file);
  started_.bind(6, event.restored_digest);
  started_.exec();
  supersede_earlier(reading.job_id);
  add_event(reading, event, event.restored_step);
  reading.started = true;
  reading.last_t = event.t;
  return {};
}

void Ingester::Impl::supersede_earlier(std::int64_t job_id) {
  execute(supersede_, job_id);
}

void Ingester::Impl::take_ending(Reading& reading, const JournalEvent& event) {
  const bool finished = event.type == EventType::kFinished;
  reading.outcome = finished ? "finished" : "failed";
  const std::string none;
  execute(ended_, reading.attempt_id, reading.outcome, event.t, finished ? none : event.cause,
          finished ? none : event.message, finished ? event.summary : std::string("{}"));
  if (finished) {
    execute(finish_job_, reading.job_id, event.t);
    if (event.tokens_per_second) reading.tokens_per_second = event.tokens_per_second;
  }
  add_event(reading, event, std::nullopt);
  report_.ended.push_back({.job = reading.job,
                           .attempt = reading.number,
                           .finished = finished,
                           .cause = finished ? none : event.cause,
                           .message = finished ? none : event.message});
}

void Ingester::Impl::add_event(const Reading& reading, const JournalEvent& event, std::optional<std::int64_t> step) {
  insert_event_.tryReset();
  insert_event_.bind(1, reading.attempt_id);
  insert_event_.bind(2, reading.cursor.seq + 1);
  insert_event_.bind(3, event.t);
  insert_event_.bind(4, event.type_name);
  bind_optional(insert_event_, 5, step);
  insert_event_.bind(6, event.data);
  insert_event_.exec();
}

void Ingester::Impl::quarantine(Reading& reading, const std::string& reason) {
  need_row(reading);
  record_facts(reading);
  execute(quarantine_, reading.attempt_id, reason);
  JsonObject data;
  data.text("message", reason).number("offset", reading.cursor.offset);
  insert_event_.tryReset();
  SQLite::bind(insert_event_, reading.attempt_id, reading.cursor.seq + 1, now_seconds(), "quarantined", nullptr,
               data.str());
  insert_event_.exec();
}

void Ingester::Impl::save_cursor(Reading& reading) {
  curves_.flush();
  cursor_.tryReset();
  cursor_.bind(1, reading.attempt_id);
  cursor_.bind(2, reading.cursor.offset);
  cursor_.bind(3, reading.cursor.seq);
  cursor_.bind(4, static_cast<std::int64_t>(reading.cursor.crc));
  bind_optional(cursor_, 5, reading.last_t);
  bind_optional(cursor_, 6, reading.progress_done);
  bind_optional(cursor_, 7, reading.progress_total);
  bind_optional(cursor_, 8, reading.tokens_per_second);
  cursor_.exec();
}

Ingester::Ingester(Database& database, std::int64_t lines_per_transaction)
    : impl_(guarded(database.path(), [&] { return std::make_unique<Impl>(database, lines_per_transaction); })),
      database_(database) {}
Ingester::~Ingester() = default;

IngestReport Ingester::ingest(std::span<const fs::path> job_folders) {
  return guarded(database_.path(), [&] { return impl_->ingest(job_folders); });
}

IngestReport Ingester::ingest_all(const fs::path& jobs) {
  std::vector<fs::path> folders;
  for (const fs::path& shard : entries_of(jobs))
    for (fs::path& job : entries_of(shard))
      if (is_job_id(job.filename().native())) folders.push_back(std::move(job));
  std::ranges::sort(folders);
  return ingest(folders);
}

}  // namespace mestre
