// What `mestre status` shows: sweeps, their cells, and how far running jobs are; and finding jobs by what people call
// them.
#include <simdjson.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "store/ledger.h"
#include "store/ledger_rows.h"
#include "store/sqlite_error.h"

namespace mestre {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Of the last attempt of each running job.
constexpr const char* kProgress = R"(
  SELECT job.job_id, job.id, attempt.number, attempt.progress_done, attempt.progress_total, attempt.tokens_per_second,
         attempt.started_at, attempt.last_t, attempt.host
  FROM job JOIN attempt USING (job_id)
  WHERE job.state = 'running'
    AND attempt.number = (SELECT max(number) FROM attempt AS other WHERE other.job_id = job.job_id)
    AND attempt.started_at IS NOT NULL
  ORDER BY job.id)";

// One row per cell and job, in the order of the grid. Of a job that is done only its state matters.
constexpr const char* kCells = R"(
  SELECT cell.number, cell.name, cell.labels, job.job_id, job.state,
         CASE WHEN job.state <> 'done' THEN job.estimate ->> '$.seconds' END,
         CASE WHEN job.state <> 'done' THEN job.estimate ->> '$.tokens' END,
         CASE WHEN job.state <> 'done' THEN job.speed_key END,
         CASE WHEN job.state <> 'done' THEN
           (SELECT cause FROM attempt WHERE attempt.job_id = job.job_id AND cause <> '' ORDER BY number DESC LIMIT 1) END,
         CASE WHEN job.state = 'running' THEN job.id END
  FROM cell LEFT JOIN cell_job USING (cell_id) LEFT JOIN job USING (job_id)
  WHERE cell.sweep_id = ?
  ORDER BY cell.number, cell_job.position)";

std::unordered_map<std::int64_t, JobProgress> progress_by_number(SQLite::Database& connection) {
  SQLite::Statement row(connection, kProgress);
  std::unordered_map<std::int64_t, JobProgress> found;
  while (row.executeStep()) {
    found[row.getColumn(0).getInt64()] = {.job = row.getColumn(1).getString(),
                                          .attempt = row.getColumn(2).getInt(),
                                          .done = row.getColumn(3).getDouble(),
                                          .total = row.getColumn(4).getDouble(),
                                          .tokens_per_second = row.getColumn(5).getDouble(),
                                          .started_at = row.getColumn(6).getDouble(),
                                          .updated_at = row.getColumn(7).getDouble(),
                                          .host = row.getColumn(8).getString()};
  }
  return found;
}

// What `known` changes, a line for each sweep that wants the job. Only what the ledger takes to be running can change.
std::multimap<std::int64_t, JobState> corrections_by_sweep(SQLite::Database& connection, const KnownStates& known) {
  std::multimap<std::int64_t, JobState> corrections;
  SQLite::Statement row(connection,
                        "SELECT sweep_id FROM job JOIN sweep_job USING (job_id) WHERE id = ? AND state = 'running'");
  for (const auto& [job, state] : known) {
    row.reset();
    row.bind(1, job);
    while (row.executeStep()) corrections.emplace(row.getColumn(0).getInt64(), state);
  }
  return corrections;
}

class LabelReader {
 public:
  Labels read(std::string_view json) {
    Labels labels;
    simdjson::dom::object object;
    if (parser_.parse(json.data(), json.size()).get_object().get(object) != simdjson::SUCCESS) return labels;
    for (const auto member : object) {
      std::string_view label;
      if (member.value.get(label) == simdjson::SUCCESS) labels.emplace_back(member.key, label);
    }
    return labels;
  }

 private:
  simdjson::dom::parser parser_;
};

// The worst of its jobs decides, as in the view `runs`.
int rank_of(JobState state) {
  switch (state) {
    case JobState::kFailed:
      return 3;
    case JobState::kRunning:
      return 2;
    case JobState::kQueued:
      return 1;
    case JobState::kDone:
      return 0;
  }
  return 1;
}

struct Where {
  std::string sweep;  // empty: any
  Labels labels;
};

// Nothing where the text is not labels.
std::optional<Where> parse_where(std::string_view text) {
  Where where;
  const std::size_t first_equals = text.find('=');
  if (first_equals == std::string_view::npos) return std::nullopt;
  const std::size_t slash = text.substr(0, first_equals).find('/');
  if (slash != std::string_view::npos) {
    where.sweep = text.substr(0, slash);
    text.remove_prefix(slash + 1);
  }
  while (!text.empty()) {
    const std::string_view label = text.substr(0, text.find(','));
    const std::size_t equals = label.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    where.labels.emplace_back(label.substr(0, equals), label.substr(equals + 1));
    text.remove_prefix(std::min(label.size() + 1, text.size()));
  }
  return where;
}

bool is_id_prefix(std::string_view text) {
  return text.size() >= 4 && text.size() <= 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool all_match(const Labels& wanted, const Labels& labels) {
  return std::ranges::all_of(
      wanted, [&](const auto& pair) { return std::find(labels.begin(), labels.end(), pair) != labels.end(); });
}

std::vector<std::string> find_by_labels(SQLite::Database& connection, const Where& where) {
  SQLite::Statement row(
      connection,
      "SELECT cell.labels, job.id FROM sweep JOIN cell USING (sweep_id) JOIN cell_job USING (cell_id) "
      "JOIN job USING (job_id) WHERE ?1 = '' OR sweep.name = ?1 "
      "ORDER BY sweep.sweep_id, cell.number, cell_job.position");
  row.bind(1, where.sweep);
  LabelReader reader;
  std::vector<std::string> found;
  std::unordered_set<std::string> seen;
  while (row.executeStep()) {
    if (!all_match(where.labels, reader.read(row.getColumn(0).getText()))) continue;
    std::string id = row.getColumn(1).getString();
    if (seen.insert(id).second) found.push_back(std::move(id));
  }
  return found;
}

Error unknown_sweep(SQLite::Database& connection, std::string_view asked) {
  SQLite::Statement row(connection, "SELECT name FROM sweep ORDER BY recorded_at DESC, sweep_id DESC");
  std::vector<std::string> names;
  while (row.executeStep()) names.push_back(row.getColumn(0).getString());
  Error error(ErrorCode::kNotFound,
              fmt::format("the store '{}' has no sweep '{}'", connection.getFilename(), escaped(asked)));
  if (names.empty()) return std::move(error).hint("it has none yet: run one with 'mestre run FILE'");
  return std::move(error).hint(expected_one_of(asked, names));
}

}  // namespace

JobState parse_state(std::string_view name) {
  for (const JobState state : {JobState::kQueued, JobState::kRunning, JobState::kDone})
    if (name == name_of(state)) return state;
  return JobState::kFailed;
}

std::int64_t find_sweep(SQLite::Database& connection, std::string_view name) {
  SQLite::Statement statement(connection, "SELECT sweep_id FROM sweep WHERE name = ?");
  statement.bind(1, std::string(name));
  if (!statement.executeStep()) throw unknown_sweep(connection, name);
  return statement.getColumn(0).getInt64();
}

double seconds_left(const JobWork& work, const JobProgress* progress) {
  double speed = work.tokens_per_second;
  double share = 1;
  if (progress != nullptr && progress->tokens_per_second > 0) speed = progress->tokens_per_second;
  if (progress != nullptr && progress->total > 0) share = std::clamp(1 - progress->done / progress->total, 0.0, 1.0);
  return share * (speed > 0 && work.tokens > 0 ? work.tokens / speed : work.planned_seconds);
}

std::string Ledger::resolve_sweep(const std::string& name_or_file) {
  return guarded(database_.path(), [&] {
    const auto normal = [](const fs::path& path) { return fs::absolute(path).lexically_normal(); };
    std::string by_file;
    SQLite::Statement row(database_.connection(),
                          "SELECT name, file FROM sweep ORDER BY recorded_at DESC, sweep_id DESC");
    while (row.executeStep()) {
      std::string name = row.getColumn(0).getString();
      if (name == name_or_file) return name;
      if (by_file.empty() && normal(row.getColumn(1).getString()) == normal(name_or_file)) by_file = std::move(name);
    }
    if (by_file.empty()) throw unknown_sweep(database_.connection(), name_or_file);
    return by_file;
  });
}

std::optional<double> optional_number(SQLite::Statement& row, int column) {
  if (row.isColumnNull(column)) return std::nullopt;
  return row.getColumn(column).getDouble();
}

std::optional<std::int64_t> optional_integer(SQLite::Statement& row, int column) {
  if (row.isColumnNull(column)) return std::nullopt;
  return row.getColumn(column).getInt64();
}

std::vector<JobProgress> Ledger::progress() {
  return guarded(database_.path(), [&] {
    std::vector<JobProgress> list;
    for (auto& [number, progress] : progress_by_number(database_.connection())) list.push_back(std::move(progress));
    std::ranges::sort(list, {}, &JobProgress::job);
    return list;
  });
}

std::vector<SweepSummary> Ledger::sweeps(const KnownStates& known) {
  return guarded(database_.path(), [&] {
    SQLite::Statement row(database_.connection(),
                          "SELECT sweep_id, name, question, file, recorded_at, "
                          "(SELECT count(*) FROM cell WHERE cell.sweep_id = sweep.sweep_id) "
                          "FROM sweep ORDER BY recorded_at DESC, sweep_id DESC");
    SQLite::Statement counts(database_.connection(),
                             "SELECT state, count(*) FROM sweep_job JOIN job USING (job_id) WHERE sweep_id = ? "
                             "GROUP BY state");
    const std::multimap<std::int64_t, JobState> corrections = corrections_by_sweep(database_.connection(), known);
    std::vector<SweepSummary> list;
    while (row.executeStep()) {
      SweepSummary& sweep = list.emplace_back();
      sweep.name = row.getColumn(1).getString();
      sweep.question = row.getColumn(2).getString();
      sweep.file = row.getColumn(3).getString();
      sweep.recorded_at = row.getColumn(4).getDouble();
      sweep.cells = row.getColumn(5).getInt64();
      counts.tryReset();
      counts.bind(1, row.getColumn(0).getInt64());
      while (counts.executeStep())
        sweep.jobs[parse_state(counts.getColumn(0).getText())] += counts.getColumn(1).getInt64();
      const auto [begin, end] = corrections.equal_range(row.getColumn(0).getInt64());
      for (auto correction = begin; correction != end; ++correction) {
        --sweep.jobs[JobState::kRunning];
        ++sweep.jobs[correction->second];
      }
    }
    return list;
  });
}

std::vector<CellStatus> Ledger::cells(std::string_view sweep, const KnownStates& known) {
  return guarded(database_.path(), [&] {
    SQLite::Database& connection = database_.connection();
    const std::int64_t sweep_number = find_sweep(connection, sweep);
    const std::unordered_map<std::int64_t, JobProgress> progress = progress_by_number(connection);
    SQLite::Statement row(connection, kCells);
    row.bind(1, sweep_number);
    LabelReader reader;
    std::optional<std::map<std::string, MeasuredSpeed>> speeds_known;  // asked for once something is left to do
    std::vector<CellStatus> cells;
    while (row.executeStep()) {
      const std::int64_t number = row.getColumn(0).getInt64();
      if (cells.empty() || cells.back().number != number) {
        CellStatus& cell = cells.emplace_back();
        cell.number = number;
        cell.name = row.getColumn(1).getString();
        cell.labels = reader.read(row.getColumn(2).getText());
        cell.state = JobState::kDone;
      }
      if (row.isColumnNull(3)) continue;
      CellStatus& cell = cells.back();
      JobState state = parse_state(row.getColumn(4).getText());
      const auto better = row.isColumnNull(9) ? known.end() : known.find(row.getColumn(9).getString());
      if (better != known.end()) {
        state = better->second;
        cell.interrupted |= state == JobState::kQueued;
      }
      ++cell.jobs;
      if (rank_of(state) > rank_of(cell.state)) cell.state = state;
      if (state == JobState::kDone) {
        ++cell.jobs_done;
        continue;
      }
      if (!speeds_known) speeds_known = speeds();
      const auto speed = speeds_known->find(row.getColumn(7).getString());
      const JobWork work{.tokens = row.getColumn(6).getDouble(),
                         .planned_seconds = row.getColumn(5).getDouble(),
                         .tokens_per_second = speed != speeds_known->end() ? speed->second.tokens_per_second : 0};
      const auto running = progress.find(row.getColumn(3).getInt64());
      cell.seconds_left += seconds_left(work, running != progress.end() ? &running->second : nullptr);
      if (cell.last_cause.empty()) cell.last_cause = row.getColumn(8).getText();
      if (running != progress.end() && state == JobState::kRunning) cell.running.push_back(running->second);
    }
    return cells;
  });
}

std::vector<RecordedCell> Ledger::recorded_cells(std::string_view sweep) {
  return guarded(database_.path(), [&] {
    SQLite::Statement row(database_.connection(),
                          "SELECT cell.number, cell.name, cell.options, cell_job.name, job.id, job.state "
                          "FROM sweep JOIN cell USING (sweep_id) JOIN cell_job USING (cell_id) JOIN job USING (job_id) "
                          "WHERE sweep.name = ? ORDER BY cell.number, cell_job.position");
    row.bind(1, std::string(sweep));
    std::vector<RecordedCell> cells;
    std::int64_t current = -1;
    while (row.executeStep()) {
      if (row.getColumn(0).getInt64() != current) {
        current = row.getColumn(0).getInt64();
        cells.push_back({.name = row.getColumn(1).getString(), .options = row.getColumn(2).getString(), .jobs = {}});
      }
      cells.back().jobs.push_back({.name = row.getColumn(3).getString(),
                                   .id = row.getColumn(4).getString(),
                                   .state = row.getColumn(5).getString()});
    }
    return cells;
  });
}

std::vector<std::string> Ledger::find(std::string_view where) {
  return guarded(database_.path(), [&] {
    SQLite::Database& connection = database_.connection();
    if (const std::optional<Where> labels = parse_where(where)) return find_by_labels(connection, *labels);
    std::vector<std::string> found;
    if (!is_id_prefix(where)) return found;
    SQLite::Statement statement(connection, "SELECT id FROM job WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id");
    statement.bind(1, std::string(where));
    while (statement.executeStep()) found.push_back(statement.getColumn(0).getString());
    return found;
  });
}

}  // namespace mestre
