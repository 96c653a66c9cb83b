#include "analysis/sweep_results.h"

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/answers.h"
#include "store/ledger.h"

namespace mestre {
namespace {

using nlohmann::json;

constexpr std::size_t kShortCommit = 9;  // characters of a commit that people are shown
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Head {
  json axes;
  json baseline;
};

Head read_head(Database& database, SweepResults& results) {
  const QueryTable table =
      ask(database, "SELECT question, file, axes, baseline FROM sweeps WHERE sweep = ?1", results.name);
  const auto& row = table.rows.front();
  results.question = text_of(row[0]);
  results.file = text_of(row[1]);
  Head head{.axes = json::parse(text_of(row[2])), .baseline = json::parse(text_of(row[3]))};
  for (std::size_t i = 0; i < head.axes.size(); ++i) {
    results.axes.push_back(head.axes[i].at("name").get<std::string>());
    if (!head.axes[i].value("replicates", false)) results.row_axes.push_back(i);
  }
  return head;
}

void read_cells(Database& database, SweepResults& results) {
  const QueryTable table = ask(database, R"(
      SELECT runs.cell, runs.labels, runs.state, runs.job, jobs.estimate ->> '$.parameters', metrics ->> '$.train.tokens_per_second',
             metrics ->> '$.train.loss',
             (options ->> '$.train.sequence_length') * (options ->> '$.train.sequences_per_step'),
             (SELECT jobs.last_cause FROM run_jobs JOIN jobs USING (job)
                WHERE run_jobs.sweep = runs.sweep AND run_jobs.cell = runs.cell AND jobs.state = 'failed' LIMIT 1),
             jobs.state, runs.marks
      FROM runs JOIN jobs USING (job) WHERE runs.sweep = ?1 ORDER BY runs.number)",
                               results.name);
  for (const auto& row : table.rows) {
    CellResults cell;
    cell.name = text_of(row[0]);
    cell.state = text_of(row[2]);
    cell.train_job = text_of(row[3]);
    cell.cause = text_of(row[8]);
    const json labels = json::parse(text_of(row[1]));
    for (const std::string& axis : results.axes) cell.labels.push_back(labels.value(axis, ""));
    cell.parameters = whole_of(row[4]);
    cell.tokens_per_step = number_of(row[7]).value_or(0);
    cell.unfair = json::parse(text_of(row[10])).get<std::vector<std::string>>();
    if (text_of(row[9]) == "done") {
      cell.tokens_per_second = number_of(row[5]);
      cell.final_loss = number_of(row[6]);
    }
    results.cells.push_back(std::move(cell));
  }
}

bool is_baseline(const SweepResults& results, const CellResults& cell, const json& baseline) {
  if (baseline.empty()) return false;
  for (const auto& [axis, label] : baseline.items()) {
    const auto found = std::find(results.axes.begin(), results.axes.end(), axis);
    if (found == results.axes.end() ||
        cell.labels[static_cast<std::size_t>(found - results.axes.begin())] != label.get<std::string>())
      return false;
  }
  return true;
}

std::string title_of(const SweepResults& results, const std::vector<std::string>& labels) {
  std::string title;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i].empty()) continue;
    if (title.empty())
      title = labels[i];
    else
      title += fmt::format(", {}={}", results.axes[results.row_axes[i]], labels[i]);
  }
  return title.empty() ? results.name : title;
}

void add_once(std::vector<std::string>& phrases, const std::string& phrase) {
  if (std::find(phrases.begin(), phrases.end(), phrase) == phrases.end()) phrases.push_back(phrase);
}

void group_into_rows(SweepResults& results, const json& baseline) {
  std::map<std::vector<std::string>, std::size_t> rows;
  for (std::size_t i = 0; i < results.cells.size(); ++i) {
    std::vector<std::string> labels;
    for (const std::size_t axis : results.row_axes) labels.push_back(results.cells[i].labels[axis]);
    const auto [row, is_new] = rows.try_emplace(labels, results.rows.size());
    if (is_new)
      results.rows.push_back({.labels = labels,
                              .title = title_of(results, labels),
                              .baseline = is_baseline(results, results.cells[i], baseline),
                              .cells = {}});
    SweepRow& into = results.rows[row->second];
    into.cells.push_back(i);
    for (const std::string& phrase : results.cells[i].unfair) add_once(into.unfair, phrase);
  }
}

void read_perplexities(Database& database, SweepResults& results) {
  std::vector<std::string> order;  // of the evaluations, as the cells list them
  std::map<std::string, std::set<std::int64_t>> lengths;
  const auto note = [&](const std::string& evaluation, std::int64_t length) {
    if (!lengths.contains(evaluation)) order.push_back(evaluation);
    lengths[evaluation].insert(length);
  };
  const QueryTable wanted = ask(database, R"(
      SELECT DISTINCT run_jobs.name, length.value FROM run_jobs JOIN jobs USING (job), json_each(jobs.spec, '$.options.lengths') AS length
      WHERE run_jobs.sweep = ?1 AND run_jobs.kind = 'evaluate' AND jobs.spec ->> '$.task' = 'perplexity' ORDER BY 1, 2)",
                                results.name);
  for (const auto& row : wanted.rows) note(text_of(row[0]), whole_of(row[1]).value_or(0));

  std::unordered_map<std::string, CellResults*> cells;
  for (CellResults& cell : results.cells) cells.emplace(cell.name, &cell);
  const QueryTable measured = ask(database, R"(
      SELECT run_jobs.cell, run_jobs.name, measurements.axes ->> '$.length', coalesce(measurements.value, measurements.non_finite)
      FROM run_jobs JOIN measurements USING (job)
      JOIN attempts ON attempts.job = measurements.job AND attempts.attempt = measurements.attempt AND attempts.outcome = 'finished'
      WHERE run_jobs.sweep = ?1 AND +run_jobs.state = 'done' AND measurements.name = 'perplexity')",
                                  results.name);
  for (const auto& row : measured.rows) {
    const std::optional<std::int64_t> length = whole_of(row[2]);
    const std::optional<double> value = number_of(row[3]);
    const auto cell = cells.find(text_of(row[0]));
    if (!length || !value || cell == cells.end()) continue;
    note(text_of(row[1]), *length);
    cell->second->perplexity[{text_of(row[1]), *length}] = *value;
  }
  for (const std::string& name : order)
    results.evaluations.push_back({.name = name, .lengths = {lengths[name].begin(), lengths[name].end()}});
}

/// {"mestre":"0.1.0","torch":"2.11.0"} as "mestre 0.1.0, torch 2.11.0"; ["cpu"] as "cpu".
std::string listed(const std::string& json_text) {
  std::string out;
  const json members = json::parse(json_text);
  for (const auto& [key, value] : members.items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    const bool named = key.find_first_not_of("0123456789") != std::string::npos;
    out += fmt::format("{}{}{}", out.empty() ? "" : ", ", named ? key + " " : "", text);
  }
  return out;
}

void read_provenance(Database& database, SweepResults& results) {
  const QueryTable table = ask(database, R"(
      SELECT run_jobs.job, run_jobs.kind, run_jobs.name, run_jobs.cell, attempts.attempt, attempts.git_commit, attempts.git_dirty, attempts.host,
             attempts.devices, attempts.versions, attempts.started_at, attempts.ended_at
      FROM run_jobs JOIN attempts USING (job) JOIN runs ON runs.sweep = run_jobs.sweep AND runs.cell = run_jobs.cell
      WHERE run_jobs.sweep = ?1 AND +run_jobs.state = 'done' AND attempts.outcome = 'finished'
      ORDER BY runs.number, run_jobs.kind DESC, run_jobs.name, attempts.attempt)",
                               results.name);
  std::set<std::string> seen;
  for (const auto& row : table.rows) {
    if (!seen.insert(text_of(row[0])).second) continue;
    results.provenance.push_back({.job = text_of(row[0]),
                                  .kind = text_of(row[1]),
                                  .name = text_of(row[2]),
                                  .cell = text_of(row[3]),
                                  .attempt = whole_of(row[4]).value_or(0),
                                  .commit = text_of(row[5]),
                                  .dirty = whole_of(row[6]).value_or(0) != 0,
                                  .host = text_of(row[7]),
                                  .devices = listed(text_of(row[8])),
                                  .versions = listed(text_of(row[9])),
                                  .started_at = number_of(row[10]).value_or(0),
                                  .ended_at = number_of(row[11]).value_or(0)});
  }
}

/// "1a2b3c4d5", "1a2b3c4d5 with uncommitted changes": what the cells of the rows were trained by.
std::set<std::string> code_of(const SweepResults& results, const std::vector<const SweepRow*>& rows,
                              const std::map<std::string, std::string>& code_of_job) {
  std::set<std::string> code;
  for (const SweepRow* row : rows)
    for (const std::size_t cell : row->cells)
      if (const auto found = code_of_job.find(results.cells[cell].train_job); found != code_of_job.end())
        code.insert(found->second);
  return code;
}

/// The plan cannot know by what code a cell will have been trained; the results do.
void mark_other_code(SweepResults& results) {
  std::map<std::string, std::string> code_of_job;
  for (const Provenance& job : results.provenance)
    if (!job.commit.empty())
      code_of_job[job.job] = job.commit.substr(0, kShortCommit) + (job.dirty ? " with uncommitted changes" : "");
  std::vector<const SweepRow*> baselines;
  for (const SweepRow& row : results.rows)
    if (row.baseline) baselines.push_back(&row);
  const std::set<std::string> expected = code_of(results, baselines, code_of_job);
  if (expected.empty()) return;
  for (SweepRow& row : results.rows) {
    const std::set<std::string> code = code_of(results, {&row}, code_of_job);
    if (!code.empty() && code != expected)
      add_once(row.unfair, fmt::format("trained by commit {}, baseline {}", fmt::join(code, " and "),
                                       fmt::join(expected, " and ")));
  }
}

}  // namespace

std::vector<const CellResults*> SweepResults::unfinished() const {
  std::vector<const CellResults*> missing;
  for (const CellResults& cell : cells)
    if (cell.state != "done") missing.push_back(&cell);
  return missing;
}

SweepResults read_sweep(Database& database, const std::string& sweep) {
  SweepResults results;
  results.name = Ledger(database).resolve_sweep(sweep);
  const Head head = read_head(database, results);
  read_cells(database, results);
  group_into_rows(results, head.baseline);
  read_perplexities(database, results);
  read_provenance(database, results);
  mark_other_code(results);
  return results;
}

std::map<std::string, Curve> read_curves(Database& database, const std::string& sweep, const std::string& name) {
  std::map<std::string, Curve> curves;
  const auto on_row = [&](std::span<const SqlValue> row) {
    Curve& curve = curves[text_of(row[0])];
    curve.steps.push_back(number_of(row[1]).value_or(0));
    curve.values.push_back(number_of(row[2]).value_or(kNaN));
  };
  const SqlValue parameters[] = {sweep, name};
  // '+state' keeps SQLite from starting with all finished jobs of the store instead of those of the sweep.
  run_query(
      database, R"(
      SELECT job, step, value FROM curves
      WHERE name = ?2 AND job IN (SELECT job FROM run_jobs WHERE sweep = ?1 AND kind = 'train' AND name = 'train' AND +state = 'done') ORDER BY job, step)",
      [](std::span<const std::string>) {}, on_row, {.rows = std::numeric_limits<std::int64_t>::max()}, parameters);
  return curves;
}

}  // namespace mestre
