// mestre query: questions to the store in SQL, or through flags for what is asked most.

#include "store/query.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "analysis/table.h"
#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "runners/cli/command.h"
#include "runners/cli/output.h"
#include "store/ledger.h"

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

struct QueryArguments {
  std::string sql;
  std::string sweep;
  std::string metric;
  std::string curve;
  std::string format_name = "table";
  bool json = false;
  std::int64_t limit = -1;  // rows; 0: all; -1: as the format has it
  double timeout = 60;      // s
};

Format format_of(const QueryArguments& arguments) {
  if (arguments.json || arguments.format_name == "json") return Format::kJson;
  if (arguments.format_name == "jsonl") return Format::kJsonLines;
  return arguments.format_name == "csv" ? Format::kCsv : Format::kTable;
}

struct Question {
  std::string sql;
  std::vector<SqlValue> parameters;
};

/// What a sweep has of something, where that is not among it: names that can be asked for.
std::vector<std::string> names_in(Database& database, std::string_view sql, const std::string& sweep) {
  const std::vector<SqlValue> parameters = {sweep};
  std::vector<std::string> names;
  for (const auto& row : query_table(database, sql, parameters).rows) names.push_back(std::get<std::string>(row[0]));
  return names;
}

bool has_any(Database& database, std::string_view sql, const std::string& sweep, const std::string& name) {
  const std::vector<SqlValue> parameters = {sweep, name};
  return !query_table(database, sql, parameters).rows.empty();
}

/// The views expand each point, so the names come from the tables behind them.
void require_curve(Database& database, const std::string& sweep, const std::string& curve) {
  constexpr std::string_view kOne =
      "SELECT 1 FROM run_jobs JOIN job ON job.id = run_jobs.job JOIN attempt USING (job_id) "
      "JOIN curve_chunk USING (attempt_id) WHERE run_jobs.sweep = ?1 AND curve_chunk.name = ?2 LIMIT 1";
  constexpr std::string_view kNames =
      "SELECT DISTINCT curve_chunk.name FROM run_jobs JOIN job ON job.id = run_jobs.job JOIN attempt USING (job_id) "
      "JOIN curve_chunk USING (attempt_id) WHERE run_jobs.sweep = ?1 ORDER BY 1";
  if (has_any(database, kOne, sweep, curve)) return;
  const std::vector<std::string> names = names_in(database, kNames, sweep);
  Error error(ErrorCode::kNotFound, fmt::format("no job of sweep '{}' has a curve '{}'", sweep, escaped(curve)));
  throw std::move(error).hint(names.empty() ? "none has a curve yet" : expected_one_of(curve, names));
}

void require_metric(Database& database, const std::string& sweep, const std::string& metric) {
  constexpr std::string_view kOne =
      "SELECT 1 FROM runs WHERE sweep = ?1 AND metrics ->> ('$.' || ?2) IS NOT NULL LIMIT 1";
  constexpr std::string_view kNames =
      "SELECT DISTINCT job.key || '.' || metric.key FROM runs, json_each(runs.metrics) AS job, "
      "json_each(job.value) AS metric WHERE runs.sweep = ?1 ORDER BY 1";
  if (has_any(database, kOne, sweep, metric)) return;
  const std::vector<std::string> names = names_in(database, kNames, sweep);
  Error error(ErrorCode::kNotFound, fmt::format("no cell of sweep '{}' has a metric '{}'", sweep, escaped(metric)));
  throw std::move(error).hint(names.empty() ? "none has finished yet" : expected_one_of(metric, names));
}

void check_question(const QueryArguments& arguments) {
  if (arguments.sql.empty() == arguments.sweep.empty())
    throw Error(ErrorCode::kBadInput, arguments.sql.empty() ? "nothing is asked" : "both SQL and --sweep are given")
        .hint("expected either a SELECT or --sweep NAME; mestre query --help shows examples");
  if (!arguments.sql.empty() && (!arguments.metric.empty() || !arguments.curve.empty()))
    throw Error(ErrorCode::kBadInput, "--metric and --curve go with --sweep, not with SQL");
}

/// The flags as SQL.
Question question_of(const QueryArguments& arguments, Database& database) {
  if (!arguments.sql.empty()) return {arguments.sql, {}};
  const std::string sweep = Ledger(database).resolve_sweep(arguments.sweep);
  if (!arguments.curve.empty()) {
    require_curve(database, sweep, arguments.curve);
    return {
        "SELECT run_jobs.cell, curves.step, curves.value FROM run_jobs JOIN runs USING (sweep, cell) JOIN curves ON "
        "curves.job = run_jobs.job "
        "WHERE run_jobs.sweep = ?1 AND curves.name = ?2 ORDER BY runs.number, curves.step",
        {sweep, arguments.curve}};
  }
  if (arguments.metric.empty())
    return {
        "SELECT cell, state, metrics ->> '$.train.loss' AS loss, metrics ->> '$.train.tokens_per_second' AS "
        "tokens_per_second "
        "FROM runs WHERE sweep = ?1 ORDER BY number",
        {sweep}};
  const std::string path =
      arguments.metric.find('.') == std::string::npos ? "train." + arguments.metric : arguments.metric;
  require_metric(database, sweep, path);
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

/// Ends a query whose reader has seen enough, as 'head' does.
struct ReaderLeft {};

void put(std::string_view text) {
  put_out(text);
  if (reader_left()) throw ReaderLeft();
}

/// On a terminal long texts are cut to fit; what reads a pipe gets them whole.
int width_of_output() {
  constexpr int kUnlimited = 1'000'000;
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0) return kUnlimited;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 100;
}

/// Adds what might have been meant where the query names a table that is not there.
Error explained(Error error, Database& database) {
  constexpr std::string_view kMissing = "no such table: ";
  const std::size_t at = error.message().find(kMissing);
  if (at == std::string::npos) return error;
  std::vector<std::string> views;
  for (const auto& row : query_table(database, "SELECT name FROM sqlite_schema WHERE type = 'view'").rows)
    views.push_back(std::get<std::string>(row[0]));
  error.hint(expected_one_of(error.message().substr(at + kMissing.size()), views));
  return error;
}

QueryLimits limits_of(const QueryArguments& arguments, Format format) {
  const std::int64_t usual = format == Format::kTable ? kTableRows : 0;
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
  put(to_text(table, width_of_output()));
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

QueryOutcome answer(Database& database, const Question& question, Format format, const QueryLimits& limits) {
  try {
    return format == Format::kTable ? print_table(database, question, limits)
                                    : stream(database, question, format, limits);
  } catch (const Error& error) {
    throw explained(error, database);
  }
}

int query(const QueryArguments& arguments, const Globals& globals) {
  check_question(arguments);
  const Format format = format_of(arguments);
  Database database = Database::open_for_reading(globals.database_path());
  const Question question = question_of(arguments, database);
  try {
    const QueryOutcome outcome = answer(database, question, format, limits_of(arguments, format));
    flush_out();
    if (outcome.truncated) print_note("cut after {} rows; --limit N shows more, --limit 0 all\n", outcome.rows);
  } catch (const ReaderLeft&) {
  }
  return kExitOk;
}

}  // namespace

void register_query(CLI::App& app, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<QueryArguments>();
  CLI::App* command = app.add_subcommand("query", "questions to the store, in SQL; it is only read");
  command->add_option("SQL", arguments->sql, "one SELECT");
  command->add_option("--sweep", arguments->sweep, "instead of SQL: the cells of this sweep (a name or its file)");
  command->add_option("--metric", arguments->metric, "with --sweep: this final metric, as 'loss' or 'JOB.METRIC'");
  command->add_option("--curve", arguments->curve, "with --sweep: every point of this curve")->excludes("--metric");
  command->add_option("--format", arguments->format_name, "default: table")
      ->check(CLI::IsMember({"table", "csv", "json", "jsonl"}))
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
