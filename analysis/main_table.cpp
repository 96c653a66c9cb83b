// The tables of a report.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "analysis/footnotes.h"
#include "analysis/report.h"
#include "analysis/statistics.h"

namespace mestre {
namespace {

constexpr std::string_view kBaselineMark = "*";
constexpr std::string_view kFewerMark = "†";
constexpr std::size_t kMostMissing = 8;  // cells named under the table

/// One value of a row, over its repetitions.
struct Sample {
  std::vector<double> values;
  bool complete = true;  // every repetition has one
};

template <class Get>
Sample sample_of(const SweepResults& results, const SweepRow& row, Get get) {
  Sample sample;
  for (const std::size_t index : row.cells) {
    if (const std::optional<double> value = get(results.cells[index]))
      sample.values.push_back(*value);
    else
      sample.complete = false;
  }
  return sample;
}

Cell interval_cell(const Sample& sample) {
  if (sample.values.empty()) return {};
  const Summary summary = summarize(sample.values);
  return {Interval{summary.mean, summary.half_width, summary.n}, sample.complete ? std::string_view() : kFewerMark};
}

Cell mean_cell(const Sample& sample) {
  return sample.values.empty() ? Cell() : Cell(mean(sample.values));
}

Cell parameters_cell(const SweepResults& results, const SweepRow& row) {
  for (const std::size_t index : row.cells)
    if (results.cells[index].parameters) return *results.cells[index].parameters;
  return {};
}

std::vector<Column> columns_of(const SweepResults& results) {
  std::vector<Column> columns;
  for (const std::size_t axis : results.row_axes)
    columns.push_back({.title = results.axes[axis], .align = Align::kLeft});
  if (columns.empty()) columns.push_back({.title = "sweep"});
  columns.push_back({.title = "parameters", .show = Show::kCount});
  columns.push_back({.title = "speed", .unit = "tokens/s", .key = "training_tokens_per_second"});
  for (const EvaluationResults& evaluation : results.evaluations) {
    const bool usual = evaluation.name == "perplexity";
    for (const std::int64_t length : evaluation.lengths)
      columns.push_back({.title = std::to_string(length),
                         .group = usual ? "perplexity at context length"
                                        : fmt::format("{}: perplexity at context length", evaluation.name),
                         .key = fmt::format("{}_{}", evaluation.name, length)});
  }
  if (results.evaluations.empty())
    columns.push_back({.title = "training loss", .unit = "nats/token", .key = "training_loss"});
  return columns;
}

std::vector<Cell> cells_of(const SweepResults& results, const SweepRow& row, Footnotes& unfair) {
  std::vector<Cell> cells;
  for (const std::string& label : row.labels) cells.emplace_back(label);
  if (cells.empty()) cells.emplace_back(results.name);
  if (row.baseline) cells.front().mark = kBaselineMark;
  if (!row.unfair.empty())
    cells.front().mark += unfair.mark(fmt::format("against its baseline: {}", fmt::join(row.unfair, "; ")));
  cells.push_back(parameters_cell(results, row));
  cells.push_back(mean_cell(sample_of(results, row, [](const CellResults& cell) { return cell.tokens_per_second; })));
  for (const EvaluationResults& evaluation : results.evaluations) {
    for (const std::int64_t length : evaluation.lengths) {
      cells.push_back(interval_cell(sample_of(results, row, [&](const CellResults& cell) -> std::optional<double> {
        const auto found = cell.perplexity.find({evaluation.name, length});
        if (found == cell.perplexity.end()) return std::nullopt;
        return found->second;
      })));
    }
  }
  if (results.evaluations.empty())
    cells.push_back(interval_cell(sample_of(results, row, [](const CellResults& cell) { return cell.final_loss; })));
  return cells;
}

std::string caption_of(const SweepResults& results) {
  std::set<std::size_t> repetitions;
  for (const SweepRow& row : results.rows) repetitions.insert(row.cells.size());
  const std::string what = results.evaluations.empty() ? "Training loss" : "Perplexity";
  if (repetitions.empty() || *repetitions.rbegin() < 2) return what + " of one seed, so without an interval.";
  const std::string n = repetitions.size() == 1
                            ? fmt::format("n = {}", *repetitions.begin())
                            : fmt::format("n = {} to {}", *repetitions.begin(), *repetitions.rbegin());
  return fmt::format("{}: mean over seeds ± half the width of its 95 % t interval ({}).", what, n);
}

void append_notes(const SweepResults& results, Table& table) {
  bool fewer = false;
  for (const auto& row : table.rows)
    for (const Cell& cell : row) fewer |= cell.mark == kFewerMark;
  if (std::any_of(results.rows.begin(), results.rows.end(), [](const SweepRow& row) { return row.baseline; }))
    table.notes.push_back(fmt::format("{} baseline", kBaselineMark));
  if (fewer) table.notes.push_back(fmt::format("{} fewer seeds than planned", kFewerMark));
  const std::vector<const CellResults*> missing = results.unfinished();
  for (std::size_t i = 0; i < missing.size() && i < kMostMissing; ++i) {
    const std::string why = missing[i]->cause.empty() ? "" : fmt::format(" ({})", missing[i]->cause);
    table.notes.push_back(fmt::format("missing: {} is {}{}", missing[i]->name, missing[i]->state, why));
  }
  if (missing.size() > kMostMissing)
    table.notes.push_back(
        fmt::format("missing: {} more of {} cells", missing.size() - kMostMissing, results.cells.size()));
}

}  // namespace

Table main_table(const SweepResults& results) {
  Table table{.caption = caption_of(results), .columns = columns_of(results)};
  Footnotes unfair;
  for (const SweepRow& row : results.rows) table.add(cells_of(results, row, unfair));
  append_notes(results, table);
  unfair.write(table, table.rows.size(), "");
  return table;
}

Table main_table(Database& database, const std::string& sweep) {
  return main_table(read_sweep(database, sweep));
}

Table jobs_table(const SweepResults& results) {
  Table table{.columns = {{.title = "cell"},
                          {.title = "name"},
                          {.title = "kind"},
                          {.title = "job"},
                          {.title = "attempt"},
                          {.title = "commit"},
                          {.title = "dirty"},
                          {.title = "host"},
                          {.title = "devices"},
                          {.title = "versions"},
                          {.title = "started at", .unit = "s"},
                          {.title = "ended at", .unit = "s"}}};
  for (const Provenance& job : results.provenance)
    table.add({job.cell, job.name, job.kind, job.job, job.attempt, job.commit, job.dirty ? 1 : 0, job.host, job.devices,
               job.versions, job.started_at, job.ended_at});
  return table;
}

}  // namespace mestre
