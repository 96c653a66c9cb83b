#include "store/journal_rows.h"

#include "core/base/files.h"
#include "core/base/options.h"
#include "store/statement.h"

namespace mestre {
JournalRows::JournalRows(SQLite::Database& connection)
    : find_job_(connection, "SELECT job_id FROM job WHERE id = ?"),
      insert_job_(connection,
                  "INSERT INTO job (id, kind, state, state_at, speed_key, launch, estimate, spec) "
                  "VALUES (?, ?, 'queued', ?, '', '{}', '{}', ?) RETURNING job_id"),
      insert_need_(connection, "INSERT OR IGNORE INTO job_need (job_id, needs_id) VALUES (?, ?)"),
      finish_job_(connection, "UPDATE job SET state = 'done', state_at = ?2 WHERE job_id = ?1 AND state <> 'done'"),
      find_attempt_(
          connection,
          "SELECT attempt_id, cursor_offset, cursor_seq, cursor_crc, coalesce(outcome, ''), "
          "started_at IS NOT NULL, host <> '', quarantine <> '' FROM attempt WHERE job_id = ? AND number = ?"),
      insert_attempt_(connection, "INSERT INTO attempt (job_id, number) VALUES (?, ?) RETURNING attempt_id"),
      facts_(connection,
             "UPDATE attempt SET token = ?2, host = ?3, devices = ?4, threads = ?5, micro_batch = ?6, versions = ?7, "
             "git_commit = ?8, git_dirty = ?9 WHERE attempt_id = ?1"),
      started_(connection,
               "UPDATE attempt SET started_at = ?2, steps = ?3, restored_step = ?4, restored_file = ?5, "
               "restored_digest = ?6 WHERE attempt_id = ?1"),
      ended_(connection,
             "UPDATE attempt SET outcome = ?2, ended_at = ?3, cause = ?4, message = ?5, summary = ?6 "
             "WHERE attempt_id = ?1"),
      supersede_(connection,
                 "UPDATE attempt SET valid_through = (SELECT min(coalesce(later.restored_step, 0)) "
                 "FROM attempt AS later WHERE later.job_id = attempt.job_id AND later.number > attempt.number "
                 "AND later.started_at IS NOT NULL) WHERE job_id = ?"),
      cursor_(connection,
              "UPDATE attempt SET cursor_offset = ?2, cursor_seq = ?3, cursor_crc = ?4, last_t = coalesce(?5, last_t), "
              "progress_done = coalesce(?6, progress_done), progress_total = coalesce(?7, progress_total), "
              "tokens_per_second = coalesce(?8, tokens_per_second) WHERE attempt_id = ?1"),
      quarantine_(connection, "UPDATE attempt SET quarantine = ?2 WHERE attempt_id = ?1"),
      insert_measurement_(connection,
                          "INSERT INTO measurement (attempt_id, seq, t, name, unit, dtype, axes, details, data) "
                          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      insert_event_(connection, "INSERT INTO event (attempt_id, seq, t, type, step, data) VALUES (?, ?, ?, ?, ?, ?)"),
      curves_(connection) {}

std::optional<std::int64_t> JournalRows::find_job(const std::string& id) {
  find_job_.tryReset();
  find_job_.bind(1, id);
  std::optional<std::int64_t> job_id;
  if (find_job_.executeStep()) job_id = find_job_.getColumn(0).getInt64();
  find_job_.tryReset();
  return job_id;
}

std::int64_t JournalRows::add_job(const std::string& id, const std::string& kind, const std::string& spec,
                                  std::span<const std::int64_t> needs) {
  insert_job_.tryReset();
  SQLite::bind(insert_job_, id, kind, now_seconds(), spec);
  insert_job_.executeStep();
  const std::int64_t job_id = insert_job_.getColumn(0).getInt64();
  insert_job_.tryReset();
  for (const std::int64_t needed : needs) execute(insert_need_, job_id, needed);
  return job_id;
}

void JournalRows::load(AttemptReading& reading) {
  curves_.begin(0);
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
  curves_.begin(reading.attempt_id);
}

void JournalRows::need_row(AttemptReading& reading) {
  if (reading.attempt_id != 0) return;
  insert_attempt_.tryReset();
  SQLite::bind(insert_attempt_, reading.job_id, reading.number);
  insert_attempt_.executeStep();
  reading.attempt_id = insert_attempt_.getColumn(0).getInt64();
  insert_attempt_.tryReset();
  curves_.begin(reading.attempt_id);
}

void JournalRows::set_facts(const AttemptReading& reading, const AttemptRecord& record) {
  JsonObject versions;
  for (const auto& [name, version] : record.versions) versions.text(name, version);
  execute(facts_, reading.attempt_id, record.token, record.process.host, json_texts(record.devices), record.threads,
          record.micro_batch, versions.str(), record.commit, record.dirty ? 1 : 0);
}

void JournalRows::add_points(const JournalEvent& event) {
  for (const MetricValue& metric : event.metrics) curves_.add(metric.name, event.step, metric.value, event.t_text);
}

void JournalRows::add_measurement(const AttemptReading& reading, const JournalEvent& event) {
  execute(insert_measurement_, reading.attempt_id, reading.cursor.seq + 1, event.t, event.name, event.unit, event.dtype,
          event.axes, event.details, event.values);
}

void JournalRows::add_event(const AttemptReading& reading, const JournalEvent& event,
                            std::optional<std::int64_t> step) {
  insert_event_.tryReset();
  insert_event_.bind(1, reading.attempt_id);
  insert_event_.bind(2, reading.cursor.seq + 1);
  insert_event_.bind(3, event.t);
  insert_event_.bind(4, event.type_name);
  bind_optional(insert_event_, 5, step);
  insert_event_.bind(6, event.data);
  insert_event_.exec();
}

void JournalRows::set_started(const AttemptReading& reading, const JournalEvent& event) {
  started_.tryReset();
  started_.bind(1, reading.attempt_id);
  started_.bind(2, event.t);
  started_.bind(3, event.steps);
  bind_optional(started_, 4, event.restored_step);
  started_.bind(5, event.restored_file);
  started_.bind(6, event.restored_digest);
  started_.exec();
  execute(supersede_, reading.job_id);
}

void JournalRows::set_ended(const AttemptReading& reading, const JournalEvent& event) {
  const bool finished = event.type == EventType::kFinished;
  const std::string none;
  execute(ended_, reading.attempt_id, finished ? "finished" : "failed", event.t, finished ? none : event.cause,
          finished ? none : event.message, finished ? event.summary : std::string("{}"));
  if (finished) execute(finish_job_, reading.job_id, event.t);
}

void JournalRows::set_quarantined(const AttemptReading& reading, const std::string& reason) {
  execute(quarantine_, reading.attempt_id, reason);
  JsonObject data;
  data.text("message", reason).number("offset", reading.cursor.offset);
  execute(insert_event_, reading.attempt_id, reading.cursor.seq + 1, now_seconds(), "quarantined", nullptr, data.str());
}

void JournalRows::save_cursor(const AttemptReading& reading) {
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

}  // namespace mestre
