// How long the ledger and the views take with many cells, each a finished training and a finished evaluation.
//   MESTRE_BENCH_CELLS   cells of the one sweep (default 10000)
#include <cstdlib>

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include "core/plan/plan.h"
#include "store/ledger.h"
#include "store/store_test.h"

namespace mestre {
namespace {

std::int64_t cells_wanted() {
  const char* text = std::getenv("MESTRE_BENCH_CELLS");
  return text != nullptr ? std::atoll(text) : 10'000;
}

Plan make_plan() {
  Plan plan;
  plan.name = "wide";
  plan.axes = {{.name = "architecture", .labels = {}}, {.name = "seed", .labels = {}, .replicates = true}};
  const std::string filler(1000, 'x');
  for (std::int64_t i = 0; i < cells_wanted(); ++i) {
    const std::size_t first = plan.jobs.size();
    PlannedJob train;
    train.spec = fmt::format(R"({{"kind":"train","model":"{}","number":{}}})", filler, i);
    train.id = xxh3_128(train.spec);
    train.kind = train.name = "train";
    train.speed_key = std::to_string(i / 10);
    PlannedJob evaluate = train;
    evaluate.spec = fmt::format(R"({{"checkpoint":{{"job":"{}"}},"kind":"evaluate"}})", train.id);
    evaluate.id = xxh3_128(evaluate.spec);
    evaluate.kind = "evaluate";
    evaluate.name = "perplexity";
    evaluate.needs = {first};
    plan.jobs.push_back(std::move(train));
    plan.jobs.push_back(std::move(evaluate));
    plan.cells.push_back({.labels = {std::to_string(i / 10), std::to_string(i % 10)},
                          .name = fmt::format("architecture={},seed={}", i / 10, i % 10),
                          .jobs = {first, first + 1},
                          .options = fmt::format(R"({{"train":{{"tokens":5}},"model":"{}"}})", filler)});
  }
  return plan;
}

const Plan& plan() {
  static const Plan made = make_plan();
  return made;
}

// A store in which all of the plan has finished, with a curve of 200 points a job.
struct Full {
  TemporaryFolder folder;
  Database database = Database::open_for_writing(folder.path() / "mestre.db");
  Ledger ledger{database};
  Full() {
    ledger.record_plan(plan());
    std::string points = "[";
    for (int step = 1; step <= 200; ++step)
      points += fmt::format("{}[{},{},{:.6f}]", step > 1 ? "," : "", step, 1000.0 / step, 1.7e9 + step);
    fill(points + "]");
  }
  // The rows that ingest would have written, by SQL.
  void fill(const std::string& points);
};

void Full::fill(const std::string& points) {
  sqlite3* connection = nullptr;
  sqlite3_open(database.path().c_str(), &connection);
  const std::string sql =
      "BEGIN; UPDATE job SET state = 'done';"
      "INSERT INTO attempt (job_id, number, started_at, ended_at, outcome, summary, tokens_per_second) "
      "SELECT job_id, 1, 1.7e9, 1.7e9, 'finished', '{\"loss\":5.25,\"tokens_per_second\":1234.5}', 1234.5 FROM job;"
      "INSERT INTO curve_chunk (attempt_id, name, number, count, first_step, last_step, points) "
      "SELECT attempt_id, 'loss', 0, 200, 1, 200, '" +
      points +
      "' FROM attempt;"
      "INSERT INTO measurement (attempt_id, seq, t, name, unit, dtype, axes, details, data) "
      "SELECT attempt_id, 2, 1.7e9, 'perplexity', '', 'float64', "
      "'[{\"name\":\"length\",\"unit\":\"tokens\",\"values\":[256,512,1024],\"stride\":1}]', '{}', '[6.1,6.0,6.2]' "
      "FROM attempt JOIN job USING (job_id) WHERE kind = 'evaluate';"
      "COMMIT";
  if (sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    throw Error(ErrorCode::kBug, sqlite3_errmsg(connection));
  sqlite3_close(connection);
}

Full& full() {
  static Full made;
  return made;
}

void record_plan(benchmark::State& state) {
  const TemporaryFolder folder;
  Database database = Database::open_for_writing(folder.path() / "mestre.db");
  Ledger ledger(database);
  if (state.range(0) != 0) ledger.record_plan(plan());
  for (auto iteration : state) {
    static_cast<void>(iteration);
    ledger.record_plan(plan());
  }
}

void status(benchmark::State& state) {
  Full& store = full();
  for (auto iteration : state) {
    static_cast<void>(iteration);
    benchmark::DoNotOptimize(store.ledger.cells("wide"));
  }
}

void wanted(benchmark::State& state) {
  Full& store = full();
  for (auto iteration : state) {
    static_cast<void>(iteration);
    benchmark::DoNotOptimize(store.ledger.wanted("wide"));
  }
}

void plan_context(benchmark::State& state) {
  Full& store = full();
  for (auto iteration : state) {
    static_cast<void>(iteration);
    benchmark::DoNotOptimize(store.ledger.finished());
    benchmark::DoNotOptimize(store.ledger.speeds());
  }
}

void view(benchmark::State& state, const std::string& sql) {
  Full& store = full();
  std::int64_t rows = 0;
  for (auto iteration : state) {
    static_cast<void>(iteration);
    rows = run_query(store.database, sql, {}, {}, {.rows = 100'000'000}).rows;
  }
  state.counters["rows"] = static_cast<double>(rows);
}

BENCHMARK(record_plan)->Name("record_plan, fresh")->Arg(0)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(record_plan)->Name("record_plan, again")->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK(wanted)->Unit(benchmark::kMillisecond);
BENCHMARK(plan_context)->Unit(benchmark::kMillisecond);
BENCHMARK(status)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(view, runs, std::string("SELECT * FROM runs WHERE sweep = 'wide'"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(view, runs_states,
                  std::string("SELECT state, count(*) FROM runs WHERE sweep = 'wide' GROUP BY state"))
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(view, one_curve,
                  std::string("SELECT step, value FROM curves WHERE job = (SELECT job FROM run_jobs LIMIT 1) AND name "
                              "= 'loss' ORDER BY step"))
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(view, all_points, std::string("SELECT count(*), sum(value) FROM curves"))
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(
    view, table_by_length,
    std::string("SELECT labels ->> '$.architecture' AS architecture, axes ->> '$.length' AS length, avg(value) "
                "FROM runs JOIN run_jobs USING (sweep, cell) JOIN measurements ON measurements.job = run_jobs.job "
                "WHERE sweep = 'wide' AND measurements.name = 'perplexity' GROUP BY 1, 2"))
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mestre

BENCHMARK_MAIN();
