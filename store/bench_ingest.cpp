// How fast journals become rows, beside plain C programs that write the same rows into SQLite from memory, without
// reading, checking or parsing anything: one keyed row per point, and the very chunks that ingest writes. All use the
// same pragmas and commit durably.
//   MESTRE_BENCH_POINTS   points in all (default 1000000)
//   MESTRE_BENCH_FOLDER   where the stores and journals are kept (default: the system's temporary folder)
#include <cstdlib>
#include <fstream>

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include "core/base/error.h"
#include "store/curve_writer.h"
#include "store/ingest.h"
#include "store/store_test.h"

namespace mestre {
namespace {

constexpr int kJobs = 20;
constexpr int kMetrics = 3;  // loss, learning rate and gradient norm in each line
constexpr const char* kNames[kMetrics] = {"loss", "learning_rate", "gradient_norm"};
constexpr double kStart = 1.7e9;  // s since the epoch

std::int64_t points_wanted() {
  const char* text = std::getenv("MESTRE_BENCH_POINTS");
  return text != nullptr ? std::atoll(text) : 1'000'000;
}
std::int64_t steps_per_job() {
  return points_wanted() / (kJobs * kMetrics);
}
std::int64_t points_in_all() {
  return steps_per_job() * kJobs * kMetrics;
}

fs::path bench_folder() {
  const char* text = std::getenv("MESTRE_BENCH_FOLDER");
  return text != nullptr ? fs::path(text) : fs::temp_directory_path();
}

double value_of(std::int64_t step, int metric) {
  return (metric == 1 ? 4e-4 : 3.0) + 1.0 / static_cast<double>(step + metric * 7 + 1);
}

// The same journal as the worker writes, made without its syncs.
void write_journal(const TestJob& job) {
  fs::create_directories(attempt_folder(job.folder, 1));
  std::ofstream file(job.journal(1));
  std::uint32_t crc = 0;
  std::int64_t seq = 0;
  const auto append = [&](const std::string& members, double t) {
    const std::string start = fmt::format(R"({{"seq":{},"t":{:.6f},{})", ++seq, t, members);
    crc = crc32(start, crc);
    file << start << ",\"crc\":" << crc << "}\n";
  };
  append(fmt::format(R"("type":"started","job":"{}","attempt":1,"restored":null,"steps":{})", job.id, steps_per_job()),
         kStart);
  for (std::int64_t step = 1; step <= steps_per_job(); ++step) {
    append(fmt::format(R"("type":"metrics","step":{},"values":{{"loss":{},"learning_rate":{},"gradient_norm":{}}})",
                       step, value_of(step, 0), value_of(step, 1), value_of(step, 2)),
           kStart + 0.01 * static_cast<double>(step));
  }
  append(R"("type":"finished","summary":{"loss":3,"tokens_per_second":1000})", kStart + 1e4);
}

struct Journals {
  TemporaryFolder folder{bench_folder()};
  std::vector<fs::path> jobs;
  Journals() {
    for (int i = 0; i < kJobs; ++i) {
      const TestJob job = make_job(Workspace{folder.path()}, std::to_string(i));
      write_journal(job);
      jobs.push_back(job.folder);
    }
  }
};
const Journals& journals() {
  static const Journals made;
  return made;
}

void report(benchmark::State& state, const fs::path& database) {
  state.counters["points/s"] =
      benchmark::Counter(static_cast<double>(points_in_all()), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["bytes/point"] = static_cast<double>(fs::file_size(database)) / static_cast<double>(points_in_all());
}

void ingest_journals(benchmark::State& state) {
  const Journals& source = journals();
  const TemporaryFolder folder(bench_folder());
  const fs::path path = folder.path() / "mestre.db";
  for (auto iteration : state) {
    static_cast<void>(iteration);
    state.PauseTiming();
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(path.native() + suffix);
    state.ResumeTiming();
    Database database = Database::open_for_writing(path);
    const IngestReport done = Ingester(database).ingest(source.jobs);
    if (done.points != points_in_all() || !done.problems.empty()) state.SkipWithError("points were lost");
  }
  report(state, path);
}

void check(int code, sqlite3* connection) {
  if (code != SQLITE_OK && code != SQLITE_DONE) throw Error(ErrorCode::kBug, sqlite3_errmsg(connection));
}

sqlite3* open_plain(const fs::path& path, const char* schema) {
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(path.native() + suffix);
  sqlite3* connection = nullptr;
  check(sqlite3_open(path.c_str(), &connection), connection);
  check(sqlite3_exec(connection,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; "
                     "PRAGMA wal_autocheckpoint = 4000",
                     nullptr, nullptr, nullptr),
        connection);
  check(sqlite3_exec(connection, schema, nullptr, nullptr, nullptr), connection);
  check(sqlite3_exec(connection, "BEGIN", nullptr, nullptr, nullptr), connection);
  return connection;
}

void close_plain(sqlite3* connection) {
  check(sqlite3_exec(connection, "COMMIT", nullptr, nullptr, nullptr), connection);
  sqlite3_close(connection);
}

// One row per point under the key by which it is looked for: what a plain program does with points.
void plain_rows(benchmark::State& state) {
  const TemporaryFolder folder(bench_folder());
  const fs::path path = folder.path() / "plain.db";
  for (auto iteration : state) {
    static_cast<void>(iteration);
    sqlite3* connection =
        open_plain(path,
                   "CREATE TABLE point (attempt_id INTEGER, name TEXT, step INTEGER, value REAL, t REAL, "
                   "PRIMARY KEY (attempt_id, name, step)) WITHOUT ROWID");
    sqlite3_stmt* insert = nullptr;
    check(sqlite3_prepare_v2(connection, "INSERT INTO point VALUES (?, ?, ?, ?, ?)", -1, &insert, nullptr), connection);
    for (int job = 0; job < kJobs; ++job) {
      for (std::int64_t step = 1; step <= steps_per_job(); ++step) {
        for (int metric = 0; metric < kMetrics; ++metric) {
          sqlite3_bind_int(insert, 1, job);
          sqlite3_bind_text(insert, 2, kNames[metric], -1, SQLITE_STATIC);
          sqlite3_bind_int64(insert, 3, step);
          sqlite3_bind_double(insert, 4, value_of(step, metric));
          sqlite3_bind_double(insert, 5, kStart + 0.01 * static_cast<double>(step));
          check(sqlite3_step(insert), connection);
          sqlite3_reset(insert);
        }
      }
    }
    sqlite3_finalize(insert);
    close_plain(connection);
  }
  report(state, path);
}

// The same chunks as ingest writes, their text made with snprintf as a C program would.
void plain_chunks(benchmark::State& state) {
  const TemporaryFolder folder(bench_folder());
  const fs::path path = folder.path() / "plain.db";
  std::vector<char> text(kChunkPoints * 96);
  for (auto iteration : state) {
    static_cast<void>(iteration);
    sqlite3* connection = open_plain(
        path,
        "CREATE TABLE chunk (chunk_id INTEGER PRIMARY KEY, attempt_id INTEGER, name TEXT, number INTEGER, "
        "count INTEGER, first_step INTEGER, last_step INTEGER, points TEXT, UNIQUE (attempt_id, name, number))");
    sqlite3_stmt* insert = nullptr;
    check(sqlite3_prepare_v2(connection, "INSERT INTO chunk VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", -1, &insert, nullptr),
          connection);
    for (int job = 0; job < kJobs; ++job) {
      for (std::int64_t first = 1; first <= steps_per_job(); first += kChunkPoints) {
        const std::int64_t last = std::min(first + kChunkPoints - 1, steps_per_job());
        for (int metric = 0; metric < kMetrics; ++metric) {
          std::size_t size = 0;
          for (std::int64_t step = first; step <= last; ++step)
            size += static_cast<std::size_t>(std::snprintf(
                text.data() + size, text.size() - size, "%c[%lld,%.17g,%.6f]", step == first ? '[' : ',',
                static_cast<long long>(step), value_of(step, metric), kStart + 0.01 * static_cast<double>(step)));
          text[size++] = ']';
          sqlite3_bind_int(insert, 1, job);
          sqlite3_bind_text(insert, 2, kNames[metric], -1, SQLITE_STATIC);
          sqlite3_bind_int64(insert, 3, first / kChunkPoints);
          sqlite3_bind_int64(insert, 4, last - first + 1);
          sqlite3_bind_int64(insert, 5, first);
          sqlite3_bind_int64(insert, 6, last);
          sqlite3_bind_text(insert, 7, text.data(), static_cast<int>(size), SQLITE_STATIC);
          check(sqlite3_step(insert), connection);
          sqlite3_reset(insert);
        }
      }
    }
    sqlite3_finalize(insert);
    close_plain(connection);
  }
  report(state, path);
}

BENCHMARK(ingest_journals)->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(2);
BENCHMARK(plain_rows)->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(2);
BENCHMARK(plain_chunks)->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(2);

}  // namespace
}  // namespace mestre

BENCHMARK_MAIN();
