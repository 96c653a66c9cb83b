// What the coordinator and the commands ask the ledger about jobs. Cells and sweeps: ledger_status.cpp.
#include <algorithm>
#include <cmath>

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "store/ledger.h"
#include "store/ledger_rows.h"
#include "store/sqlite_error.h"

namespace mestre {
namespace {

std::vector<std::string> ids(SQLite::Statement& statement) {
  std::vector<std::string> found;
  while (statement.executeStep()) found.push_back(statement.getColumn(0).getString());
  return found;
}

}  // namespace

IdTable Ledger::finished() {
  return guarded(database_.path(), [&] {
    SQLite::Statement statement(database_.connection(), "SELECT id FROM job WHERE state = 'done'");
    IdTable found;
    while (statement.executeStep()) found.insert(statement.getColumn(0).getString());
    return found;
  });
}

std::map<std::string, MeasuredSpeed> Ledger::speeds() {
  return guarded(database_.path(), [&] {
    SQLite::Statement statement(database_.connection(),
                                "SELECT speed_key, avg(tokens_per_second), avg(tokens_per_second * tokens_per_second), "
                                "count(*) FROM attempt JOIN job USING (job_id) "
                                "WHERE outcome = 'finished' AND tokens_per_second > 0 AND speed_key <> '' "
                                "GROUP BY speed_key");
    std::map<std::string, MeasuredSpeed> speeds;
    while (statement.executeStep()) {
      const double mean = statement.getColumn(1).getDouble();
      const auto runs = statement.getColumn(3).getInt64();
      const double variance = std::max(0.0, statement.getColumn(2).getDouble() - mean * mean);
      const auto n = static_cast<double>(runs);
      speeds[statement.getColumn(0).getString()] = {
          .tokens_per_second = mean, .deviation = runs > 1 ? std::sqrt(variance * n / (n - 1)) : 0, .runs = runs};
    }
    return speeds;
  });
}

std::vector<WantedJob> Ledger::wanted(std::string_view sweep) {
  return guarded(database_.path(), [&] {
    SQLite::Statement row(database_.connection(),
                          "SELECT job.id, job.state FROM sweep_job JOIN job USING (job_id) WHERE sweep_id = ? "
                          "ORDER BY position");
    row.bind(1, find_sweep(database_.connection(), sweep));
    std::vector<WantedJob> jobs;
    while (row.executeStep())
      jobs.push_back({.id = row.getColumn(0).getString(), .state = parse_state(row.getColumn(1).getText())});
    return jobs;
  });
}

JobState Ledger::state_of(std::string_view job) {
  return guarded(database_.path(), [&] {
    SQLite::Statement statement(database_.connection(), "SELECT state FROM job WHERE id = ?");
    statement.bind(1, std::string(job));
    if (!statement.executeStep()) throw Error(ErrorCode::kNotFound, fmt::format("the store knows no job '{}'", job));
    return parse_state(statement.getColumn(0).getText());
  });
}

std::vector<std::string> Ledger::jobs_in(JobState state) {
  return guarded(database_.path(), [&] {
    SQLite::Statement statement(database_.connection(), "SELECT id FROM job WHERE state = ? ORDER BY id");
    statement.bind(1, std::string(name_of(state)));
    return ids(statement);
  });
}

JobDetail Ledger::job(std::string_view id) {
  return guarded(database_.path(), [&] {
    SQLite::Database& connection = database_.connection();
    SQLite::Statement row(connection, "SELECT kind, state, spec, job_id FROM job WHERE id = ?");
    row.bind(1, std::string(id));
    if (!row.executeStep()) throw Error(ErrorCode::kNotFound, fmt::format("the store knows no job '{}'", id));
    JobDetail detail{.id = std::string(id),
                     .kind = row.getColumn(0).getString(),
                     .state = parse_state(row.getColumn(1).getText()),
                     .spec = row.getColumn(2).getString(),
                     .cells = {},
                     .attempts = {}};
    const std::int64_t number = row.getColumn(3).getInt64();
    SQLite::Statement cells(connection,
                            "SELECT sweep.name || '/' || cell.name FROM cell_job JOIN cell USING (cell_id) "
                            "JOIN sweep USING (sweep_id) WHERE cell_job.job_id = ? ORDER BY sweep.name, cell.number");
    cells.bind(1, number);
    detail.cells = ids(cells);
    SQLite::Statement attempt(
        connection,
        "SELECT number, coalesce(outcome, ''), cause, message, host, started_at, ended_at, restored_step, quarantine, "
        "(SELECT max(last_step) FROM curve_chunk WHERE curve_chunk.attempt_id = attempt.attempt_id) "
        "FROM attempt WHERE job_id = ? ORDER BY number");
    attempt.bind(1, number);
    while (attempt.executeStep()) {
      detail.attempts.push_back({.number = attempt.getColumn(0).getInt(),
                                 .outcome = attempt.getColumn(1).getString(),
                                 .cause = attempt.getColumn(2).getString(),
                                 .message = attempt.getColumn(3).getString(),
                                 .host = attempt.getColumn(4).getString(),
                                 .started_at = optional_number(attempt, 5),
                                 .ended_at = optional_number(attempt, 6),
                                 .restored_step = optional_integer(attempt, 7),
                                 .last_step = optional_integer(attempt, 9),
                                 .quarantine = attempt.getColumn(8).getString()});
    }
    return detail;
  });
}

}  // namespace mestre
