// mestre query: questions to the store in SQL, or through flags for what is asked most.

#include "store/query.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>

#include <fmt/format.h>

#include "analysis/sweep_results.h"
#include "analysis/table.h"
#include "core/base/error.h"
#include "runners/cli/command.h"

namespace mestre {
namespace {

constexpr std::int64_t kTableRows =
    1000;  // a terminal's patience; the other formats stream and have no limit of their own

constexpr std::string_view kHelp = R"help(Views (columns; times are seconds since the epoch; JSON reads with ->>):
  sweeps        sweep, question, file, baseline, axes, cells, recorded_at
  runs          sweep, number, cell, labels, options, state, jobs, jobs_done, job, metrics     one row per cell
  run_jobs      sweep, cell, job, name, kind, state                                            joins runs with the rest
  curves        job, attempt, name, step, value, t, non_finite                                 one row per point
  measurements  job, attempt, name, unit, axes, value, non_finite, details, seq, t             one row per value
  jobs          job, kind, state, state_at, attempts, last_cause, needs, speed_key, launch, estimate, spec
  attempts      job, attempt, outcome, cause, message, started_at, ended_at, summary, host, devices, versions, git_commit ...
  events        job, attempt, seq, t, type, step, data

Examples:
  mestre query "SELECT cell, metrics ->> '$.train.loss' AS loss FROM runs WHERE sweep = 'quickstart' ORDER BY loss"
  mestre query "SELECT cell, axes ->> '$.length' AS length, value FROM run_jobs JOIN measurements USING (job)"
  mestre query --sweep quickstart --metric train.loss
  mestre query --sweep quickstart --curve loss --format csv > loss.csv)help";

enum class Format { kTable, kCsv, kJson, kJsonLines };

struct Arguments {
  std::string sql;
  std::string sweep;
  std::string metric;
  std::string curve;
  Format format = Format::kTable;
  bool json = false;
  std::int64_t limit = -1;  // rows; 0: all; -1: as the format has it
  double timeout = 60;      // s
};

struct Question {
  std::string sql;
  std::vector<SqlValue> parameters;
};

/// The flags as SQL.
Question question_of(const Arguments& arguments, Database& database) {
  if (arguments.sql.empty() == arguments.sweep.empty())
    throw Error(ErrorCode::kBadInput, arguments.sql.empty() ? "nothing is asked" : "both SQL and --sweep are given")
        .hint("expected either a SELECT or --sweep NAME; mestre query --help shows examples");
  if (!arguments.sql.empty()) {
    if (!arguments.metric.empty() || !arguments.curve.empty())
      throw Error(ErrorCode::kBadInput, "--metric and --curve go with --sweep, not with SQL");
    return {arguments.sql, {}};
  }
  const std::string sweep = resolve_sweep(database, arguments.sweep);
  if (!arguments.curve.empty())
    return {
        "SELECT run_jobs.cell, curves.step, curves.value FROM run_jobs JOIN runs USING (sweep, cell) JOIN curves ON "
        "curves.job = run_jobs.job "
        "WHERE run_jobs.sweep = ?1 AND curves.name = ?2 ORDER BY runs.number, curves.step",
        {sweep, arguments.curve}};
  if (arguments.metric.empty())
    return {
        "SELECT cell, state, metrics ->> '$.train.loss' AS loss, metrics ->> '$.train.tokens_per_second' AS "
        "tokens_per_second "
        "FROM runs WHERE sweep = ?1 ORDER BY number",
        {sweep}};
  const std::string path =
      arguments.metric.find('.') == std::string::npos ? "train." + arguments.metric : arguments.metric;
  return {"SELECT cell, state, metrics ->> ('$.' || ?2) AS value FROM runs WHERE sweep = ?1 ORDER BY number",
          {sweep, path}};
}

Cell cell_of(const SqlValue& value) {
  return std::visit(
      [](const auto& held) {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>)
          return Cell();
        else
          return Cell(held);
      },
      value);
}

std::vector<Cell> cells_of(std::span<const SqlValue> row) {
  std::vector<Cell> cells;
  cells.reserve(row.size());
  for (const SqlValue& value : row) cells.push_back(cell_of(value));
  return cells;
}

void put(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
    throw system_error(errno, "write to", "standard output");
}

QueryLimits limits_of(const Arguments& arguments) {
  const std::int64_t usual = arguments.format == Format::kTable ? kTableRows : 0;
  const std::int64_t rows = arguments.limit < 0 ? usual : arguments.limit;
  return {.rows = rows == 0 ? std::numeric_limits<std::int64_t>::max() : rows,
          .time = std::chrono::milliseconds(static_cast<std::int64_t>(std::lround(arguments.timeout * 1000)))};
}

QueryOutcome print_table(Database& database, const Question& question, const QueryLimits& limits) {
  Table table;
  const QueryOutcome outcome = run_query(
      database, question.sql,
      [&](std::span<const std::string> names) {
        for (const std::string& name : names) table.columns.push_back({.title = name, .show = Show::kExact});
      },
      [&](std::span<const SqlValue> row) { table.add(cells_of(row)); }, limits, question.parameters);
  put(to_text(table));
  return outcome;
}

/// Rows are written as they come, so that a result may be larger than the memory.
QueryOutcome stream(Database& database, const Question& question, Format format, const QueryLimits& limits) {
  std::vector<std::string> keys;
  std::string before = "[";
  const QueryOutcome outcome = run_query(
      database, question.sql,
      [&](std::span<const std::string> names) {
        Table head;
        for (const std::string& name : names) head.columns.push_back({.title = name, .key = name});
        keys = column_keys(head);
        if (format == Format::kCsv) put(csv_row({keys.begin(), keys.end()}));
      },
      [&](std::span<const SqlValue> row) {
        if (format == Format::kCsv) return put(csv_row(cells_of(row)));
        std::string line = json_row(keys, cells_of(row));
        if (format == Format::kJsonLines) return put(line);
        line.pop_back();
        put(before + line);
        before = ",\n ";
      },
      limits, question.parameters);
  if (format == Format::kJson) put(outcome.rows == 0 ? "[]\n" : "]\n");
  return outcome;
}

int query(Arguments arguments, const Globals& globals) {
  if (arguments.json) arguments.format = Format::kJson;
  Database database = Database::open_for_reading(globals.database_path());
  const Question question = question_of(arguments, database);
  const QueryLimits limits = limits_of(arguments);
  const QueryOutcome outcome = arguments.format == Format::kTable
                                   ? print_table(database, question, limits)
                                   : stream(database, question, arguments.format, limits);
  std::fflush(stdout);
  if (outcome.truncated)
    fmt::print(stderr, "only the first {} rows are shown; --limit N shows more, --limit 0 all\n", outcome.rows);
  return kExitOk;
}

}  // namespace

void register_query(CLI::App& app, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("query", "questions to the store, in SQL; it is only read");
  command->add_option("SQL", arguments->sql, "one SELECT");
  command->add_option("--sweep", arguments->sweep, "instead of SQL: the cells of this sweep (a name or its file)");
  command->add_option("--metric", arguments->metric, "with --sweep: this final metric, as 'loss' or 'JOB.METRIC'");
  command->add_option("--curve", arguments->curve, "with --sweep: every point of this curve")->excludes("--metric");
  const std::map<std::string, Format> formats = {
      {"table", Format::kTable}, {"csv", Format::kCsv}, {"json", Format::kJson}, {"jsonl", Format::kJsonLines}};
  command->add_option("--format", arguments->format, "table, csv, json or jsonl; default: table")
      ->transform(CLI::CheckedTransformer(formats, CLI::ignore_case))
      ->type_name("FORMAT");
  command->add_flag("--json", arguments->json, "the same as --format json");
  command
      ->add_option("--limit", arguments->limit,
                   fmt::format("rows at most, 0: all; default: {} in a table, else all", kTableRows))
      ->check(CLI::NonNegativeNumber);
  command->add_option("--timeout", arguments->timeout, "s; default: 60")->check(CLI::PositiveNumber);
  command->footer(std::string(kHelp));
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return query(*arguments, globals); }; });
}

}  // namespace mestre
