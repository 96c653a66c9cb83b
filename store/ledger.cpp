#include "store/ledger.h"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/Transaction.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/hash.h"
#include "core/base/options.h"
#include "core/plan/plan.h"
#include "store/sqlite_error.h"
#include "store/statement.h"

namespace mestre {
namespace {

// The members stay in the order of the axes, which is how people read them.
void append_member(std::string& object, std::string_view name, std::string_view text) {
  if (object.size() > 1) object += ',';
  append_json_string(object, name);
  object += ':';
  append_json_string(object, text);
}

std::string json_pairs(const auto& pairs) {
  std::string object = "{";
  for (const auto& [name, text] : pairs) append_member(object, name, text);
  return object + "}";
}

std::string json_axes(const std::vector<PlannedAxis>& axes) {
  std::string array = "[";
  for (const PlannedAxis& axis : axes) {
    if (array.size() > 1) array += ',';
    array += R"({"name":)" + json_string(axis.name) + R"(,"labels":[)";
    for (std::size_t i = 0; i < axis.labels.size(); ++i) {
      if (i > 0) array += ',';
      append_json_string(array, axis.labels[i]);
    }
    array += fmt::format(R"(],"replicates":{}}})", axis.replicates);
  }
  return array + "]";
}

std::string json_labels(const std::vector<PlannedAxis>& axes, const PlannedCell& cell) {
  std::string object = "{";
  for (std::size_t i = 0; i < axes.size(); ++i)
    if (!cell.labels.at(i).empty()) append_member(object, axes[i].name, cell.labels[i]);
  return object + "}";
}

std::string json_marks(const Plan& plan, const PlannedCell& cell) {
  if (cell.marks < 0) return "[]";
  std::string array = "[";
  for (const std::string& mark : plan.marks[static_cast<std::size_t>(cell.marks)]) {
    if (array.size() > 1) array += ',';
    append_json_string(array, mark);
  }
  return array + "]";
}

// Of all that record_cells writes.
std::string digest_of_cells(const Plan& plan) {
  Digester digester;
  const auto update = [&](std::string_view text) {
    digester.update(std::to_string(text.size()));
    digester.update(":");
    digester.update(text);
  };
  for (const PlannedJob& job : plan.jobs) {
    update(job.id);
    update(job.name);
    update(std::to_string(job.priority));
  }
  for (const PlannedCell& cell : plan.cells) {
    update(cell.name);
    update(json_labels(plan.axes, cell));
    update(cell.options);
    update(json_marks(plan, cell));
    for (const std::size_t job : cell.jobs) update(std::to_string(job));
  }
  return digester.hex();
}

struct RecordedSweep {
  std::int64_t number = 0;
  bool same_cells = false;  // as an earlier plan of this name
};

RecordedSweep record_sweep(SQLite::Database& connection, const Plan& plan) {
  const std::string digest = digest_of_cells(plan);
  SQLite::Statement known(connection, "SELECT cells FROM sweep WHERE name = ?");
  known.bind(1, plan.name);
  const bool same = known.executeStep() && known.getColumn(0).getString() == digest;
  SQLite::Statement statement(connection,
                              "INSERT INTO sweep (name, question, file, baseline, axes, data, cells, recorded_at) "
                              "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET question = "
                              "excluded.question, file = excluded.file, baseline = excluded.baseline, axes = "
                              "excluded.axes, data = excluded.data, cells = excluded.cells, "
                              "recorded_at = excluded.recorded_at RETURNING sweep_id");
  return {.number = execute_for_id(statement, plan.name, plan.question, plan.file, json_pairs(plan.baseline),
                                   json_axes(plan.axes), json_pairs(plan.data), digest, now_seconds()),
          .same_cells = same};
}

// Numbers of the plan's jobs in the store, in the order of the plan. What is known and unchanged is only looked up.
std::vector<std::int64_t> record_jobs(SQLite::Database& connection, const Plan& plan) {
  SQLite::Statement find(connection,
                         "SELECT job_id, speed_key = ?2 AND launch = ?3 AND estimate = ?4 FROM job WHERE id = ?1");
  SQLite::Statement insert(connection,
                           "INSERT INTO job (id, kind, state, state_at, speed_key, launch, estimate, spec) "
                           "VALUES (?, ?, 'queued', ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                           "speed_key = excluded.speed_key, launch = excluded.launch, estimate = excluded.estimate "
                           "RETURNING job_id");
  SQLite::Statement need(connection, "INSERT OR IGNORE INTO job_need (job_id, needs_id) VALUES (?, ?)");
  const double now = now_seconds();
  std::vector<std::int64_t> numbers;
  numbers.reserve(plan.jobs.size());
  for (const PlannedJob& job : plan.jobs) {
    const std::string launch = canonical_json(job.launch);
    const std::string estimate = estimate_json(job.estimate);
    find.tryReset();
    SQLite::bind(find, job.id, job.speed_key, launch, estimate);
    if (find.executeStep() && find.getColumn(1).getInt() != 0) {
      numbers.push_back(find.getColumn(0).getInt64());
    } else {
      numbers.push_back(execute_for_id(insert, job.id, job.kind, now, job.speed_key, launch, estimate, job.spec));
    }
    for (const std::size_t needed : job.needs) execute(need, numbers.back(), numbers.at(needed));
  }
  return numbers;
}

void record_cells(SQLite::Database& connection, const Plan& plan, std::int64_t sweep,
                  const std::vector<std::int64_t>& job_numbers) {
  SQLite::Statement insert_job(connection,
                               "INSERT INTO sweep_job (sweep_id, position, job_id, priority) VALUES (?, ?, ?, ?)");
  for (std::size_t i = 0; i < plan.jobs.size(); ++i)
    execute(insert_job, sweep, static_cast<std::int64_t>(i), job_numbers[i], plan.jobs[i].priority);

  SQLite::Statement insert_cell(connection,
                                "INSERT INTO cell (sweep_id, number, name, labels, options, marks) VALUES (?, ?, ?, ?, "
                                "?, ?) RETURNING cell_id");
  SQLite::Statement insert_member(connection,
                                  "INSERT INTO cell_job (cell_id, position, job_id, name) VALUES (?, ?, ?, ?)");
  for (std::size_t number = 0; number < plan.cells.size(); ++number) {
    const PlannedCell& cell = plan.cells[number];
    const std::int64_t id = execute_for_id(insert_cell, sweep, static_cast<std::int64_t>(number), cell.name,
                                           json_labels(plan.axes, cell), cell.options, json_marks(plan, cell));
    for (std::size_t position = 0; position < cell.jobs.size(); ++position) {
      const std::size_t job = cell.jobs[position];
      execute(insert_member, id, static_cast<std::int64_t>(position), job_numbers.at(job), plan.jobs.at(job).name);
    }
  }
}

std::int64_t number_of_job(SQLite::Statement& find, std::string_view id) {
  find.tryReset();
  find.bind(1, std::string(id));
  if (!find.executeStep()) throw Error(ErrorCode::kNotFound, fmt::format("the store knows no job '{}'", id));
  const std::int64_t number = find.getColumn(0).getInt64();
  find.tryReset();
  return number;
}

constexpr const char* kFindJob = "SELECT job_id FROM job WHERE id = ?";

}  // namespace

std::string_view name_of(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return "queued";
    case JobState::kRunning:
      return "running";
    case JobState::kDone:
      return "done";
    case JobState::kFailed:
      return "failed";
  }
  return "queued";
}

void Ledger::record_plan(const Plan& plan) {
  guarded(database_.path(), [&] {
    SQLite::Database& connection = database_.connection();
    SQLite::Transaction transaction(connection, SQLite::TransactionBehavior::IMMEDIATE);
    const RecordedSweep sweep = record_sweep(connection, plan);
    const std::vector<std::int64_t> jobs = record_jobs(connection, plan);
    if (!sweep.same_cells) {
      for (const char* table : {"cell", "sweep_job"})
        connection.exec(fmt::format("DELETE FROM {} WHERE sweep_id = {}", table, sweep.number));
      record_cells(connection, plan, sweep.number, jobs);
    }
    transaction.commit();
  });
}

void Ledger::record_submission(const Submission& submission) {
  guarded(database_.path(), [&] {
    SQLite::Database& connection = database_.connection();
    SQLite::Transaction transaction(connection, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement insert(
        connection, "INSERT INTO submission (token, runner, recorded_at) VALUES (?, ?, ?) RETURNING submission_id");
    const std::int64_t id = execute_for_id(insert, submission.token, submission.runner, now_seconds());
    SQLite::Statement find(connection, kFindJob);
    SQLite::Statement member(connection,
                             "INSERT INTO submission_member (submission_id, position, job_id) VALUES (?, ?, ?)");
    for (std::size_t i = 0; i < submission.members.size(); ++i)
      execute(member, id, static_cast<std::int64_t>(i), number_of_job(find, submission.members[i]));
    transaction.commit();
  });
}

void Ledger::set_states(std::span<const std::string_view> jobs, JobState state) {
  guarded(database_.path(), [&] {
    SQLite::Database& connection = database_.connection();
    SQLite::Transaction transaction(connection, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement find(connection, kFindJob);
    SQLite::Statement update(connection, "UPDATE job SET state = ?1, state_at = ?2 WHERE job_id = ?3 AND state <> ?1");
    const double now = now_seconds();
    for (const std::string_view job : jobs) execute(update, std::string(name_of(state)), now, number_of_job(find, job));
    transaction.commit();
  });
}

void Ledger::mark_killed(std::string_view job, int attempt) {
  guarded(database_.path(), [&] {
    SQLite::Database& connection = database_.connection();
    SQLite::Transaction transaction(connection, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement find(connection, kFindJob);
    // A terminal line that was read after all is the truth.
    SQLite::Statement mark(connection,
                           "INSERT INTO attempt (job_id, number, outcome, ended_at) VALUES (?1, ?2, 'killed', ?3) "
                           "ON CONFLICT (job_id, number) DO UPDATE SET outcome = 'killed', "
                           "ended_at = coalesce(last_t, ?3) WHERE outcome IS NULL");
    execute(mark, number_of_job(find, job), attempt, now_seconds());
    transaction.commit();
  });
}

}  // namespace mestre
