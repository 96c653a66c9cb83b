#include "store/ingest.h"

#include <cmath>
#include <fstream>
#include <limits>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/journal/attempt.h"
#include "core/journal/scanner.h"
#include "store/ledger.h"
#include "store/store_test.h"

namespace mestre {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// One line as a foreign worker may write it, with a right number and checksum behind what the journal holds.
void append_line(const fs::path& journal, std::string_view members) {
  JournalScanner scanner(journal, {});
  while (scanner.next()) {
  }
  const std::string start = fmt::format(R"({{"seq":{},"t":1700000000.5,{})", scanner.cursor().seq + 1, members);
  std::ofstream(journal, std::ios::app) << start << ",\"crc\":" << crc32(start, scanner.cursor().crc) << "}\n";
}

class IngestTest : public ::testing::Test {
 protected:
  IngestReport ingest(const TestJob& job) { return ingester_.ingest({&job.folder, 1}); }

  TemporaryFolder folder_;
  Workspace workspace_{folder_.path()};
  Database database_ = Database::open_for_writing(workspace_.database());
  Ingester ingester_{database_};
  TestJob job_ = make_job(workspace_, "samba");
};

TEST_F(IngestTest, TakesEachLineOnce) {
  {
    JournalWriter journal = job_.begin(1);
    journal.started(job_.id, 1, nullptr, 20);
    write_steps(journal, 1, 20);
    EXPECT_EQ(ingest(job_).points, 22);
    EXPECT_EQ(ingest(job_).lines, 0);
    const std::vector<Metric> summary = {{"loss", 50}, {"tokens_per_second", 12.5}};
    journal.finished(summary);
  }
  EXPECT_EQ(ingest(job_).lines, 1);
  EXPECT_EQ(ingest(job_).lines, 0);
  EXPECT_EQ(rows(database_,
                 "SELECT name, count(*), min(step), max(step), min(value) FROM curves GROUP BY name ORDER BY name"),
            "learning_rate|2|10|20|0.001\nloss|20|1|20|50\n");
  EXPECT_EQ(rows(database_, "SELECT state, attempts FROM jobs"), "done|1\n");
  EXPECT_EQ(rows(database_, "SELECT outcome, tokens_per_second, summary FROM attempts"),
            "finished|12.5|{\"loss\":50,\"tokens_per_second\":12.5}\n");
}

TEST_F(IngestTest, LeavesATornTailForLater) {
  { job_.begin(1).started(job_.id, 1, nullptr, 20); }
  append_line(job_.journal(1), R"("type":"metrics","step":1,"values":{"loss":5})");
  const std::string whole = read_file(job_.journal(1));
  replace_file(job_.journal(1), whole.substr(0, whole.size() - 7));
  EXPECT_EQ(ingest(job_).lines, 1);
  const IngestReport report = ingest(job_);
  EXPECT_EQ(report.lines, 0);
  EXPECT_TRUE(report.problems.empty());
  replace_file(job_.journal(1), whole);
  EXPECT_EQ(ingest(job_).points, 1);
}

TEST_F(IngestTest, HidesPointsThatALaterAttemptComputedAgain) {
  const Restored restored{.file = "attempt-1/checkpoints/step-00000010", .digest = "d", .step = 10};
  {
    JournalWriter first = job_.begin(1);
    first.started(job_.id, 1, nullptr, 30);
    write_steps(first, 1, 10);
    first.checkpoint(10, restored.file, restored.digest);
    write_steps(first, 11, 15);
  }
  static_cast<void>(ingest(job_));
  EXPECT_EQ(rows(database_, "SELECT count(*), max(step) FROM curves WHERE name = 'loss'"), "15|15\n");
  {
    JournalWriter second = job_.begin(2);
    second.started(job_.id, 2, &restored, 30);
    write_steps(second, 11, 30);
  }
  static_cast<void>(ingest(job_));
  EXPECT_EQ(rows(database_, "SELECT valid_through, restored_step FROM attempts ORDER BY attempt"), "10|\n|10\n");
  EXPECT_EQ(rows(database_, "SELECT count(*), count(DISTINCT step), max(step) FROM curves WHERE name = 'loss'"),
            "30|30|30\n");
  { job_.begin(3).started(job_.id, 3, nullptr, 30); }
  static_cast<void>(ingest(job_));
  EXPECT_EQ(rows(database_, "SELECT valid_through FROM attempts ORDER BY attempt"), "0\n0\n\n");
  EXPECT_EQ(rows(database_, "SELECT count(*) FROM curves"), "0\n");
}

TEST_F(IngestTest, SupersedesInWhateverOrderAttemptsAreSeen) {
  const Restored restored{.file = "attempt-1/checkpoints/step-00000010", .digest = "d", .step = 10};
  {
    JournalWriter second = job_.begin(2);
    second.started(job_.id, 2, &restored, 30);
  }
  static_cast<void>(ingest(job_));
  {
    JournalWriter first = job_.begin(1);
    first.started(job_.id, 1, nullptr, 30);
    write_steps(first, 1, 12);
  }
  static_cast<void>(ingest(job_));
  EXPECT_EQ(rows(database_, "SELECT attempt, valid_through FROM attempts ORDER BY attempt"), "1|10\n2|\n");
  EXPECT_EQ(rows(database_, "SELECT max(step) FROM curves"), "10\n");
}

TEST_F(IngestTest, HidesMeasurementsBehindTheRestoredCheckpoint) {
  const Measurement before{.name = "early", .unit = "", .axes = {}, .values = {1}, .details = {}};
  const Measurement behind{.name = "late", .unit = "", .axes = {}, .values = {2}, .details = {}};
  const Restored restored{.file = "attempt-1/checkpoints/step-00000010", .digest = "d", .step = 10};
  {
    JournalWriter first = job_.begin(1);
    first.started(job_.id, 1, nullptr, 30);
    first.measurement(before);
    first.checkpoint(10, restored.file, restored.digest);
    first.measurement(behind);
  }
  static_cast<void>(ingest(job_));
  EXPECT_EQ(rows(database_, "SELECT name, value FROM measurements ORDER BY seq"), "early|1\nlate|2\n");
  {
    JournalWriter second = job_.begin(2);
    second.started(job_.id, 2, &restored, 30);
    second.measurement(behind);
  }
  static_cast<void>(ingest(job_));
  EXPECT_EQ(rows(database_, "SELECT attempt, name FROM measurements ORDER BY attempt"), "1|early\n2|late\n");
}

TEST_F(IngestTest, GivesMeasuredValuesTheirCoordinates) {
  const Measurement measurement{.name = "entropy",
                                .unit = "nat",
                                .axes = {{.name = "layer", .unit = "", .values = {0, 3}},
                                         {.name = "length", .unit = "tokens", .values = {256, 512, 1024}}},
                                .values = {1, 2, kNan, 4, kInfinity, 6},
                                .details = {{"blocks", 64}}};
  {
    JournalWriter journal = job_.begin(1);
    journal.started(job_.id, 1, nullptr, 0);
    journal.measurement(measurement);
  }
  EXPECT_TRUE(ingest(job_).problems.empty());
  EXPECT_EQ(
      rows(database_,
           "SELECT axes ->> '$.layer', axes ->> '$.length', value, non_finite, details ->> '$.blocks', unit FROM "
           "measurements"),
      "0|256|1||64|nat\n0|512|2||64|nat\n0|1024||nan|64|nat\n3|256|4||64|nat\n3|512||inf|64|nat\n3|1024|6||64|nat\n");
}

TEST_F(IngestTest, KeepsValuesThatAreNotFinite) {
  {
    JournalWriter journal = job_.begin(1);
    journal.started(job_.id, 1, nullptr, 3);
    for (const auto& [step, value] :
         {std::pair{1, kNan}, {2, kInfinity}, {3, -kInfinity}, {4, 1e-320}, {5, 1.7976931348623157e308}}) {
      const std::vector<Metric> values = {{"loss", value}};
      journal.metrics(step, values);
    }
  }
  EXPECT_TRUE(ingest(job_).problems.empty());
  EXPECT_EQ(rows(database_, "SELECT value, non_finite FROM curves ORDER BY step"),
            "|nan\n|inf\n|-inf\n1e-320|\n1.7976931348623157e+308|\n");
  EXPECT_EQ(rows(database_, "SELECT json_extract(points, '$[0][1]') FROM curve_chunk"), "nan\n");
}

TEST_F(IngestTest, KeepsNamesThatNeedQuotes) {
  const std::string name = "weird \"name\"\n\\ \xF0\x9F\xA5\x81";
  {
    JournalWriter journal = job_.begin(1);
    journal.started(job_.id, 1, nullptr, 3);
    const std::vector<Metric> values = {{name, 1.5}};
    journal.metrics(1, values);
    journal.warning("odd", name);
  }
  EXPECT_TRUE(ingest(job_).problems.empty());
  EXPECT_EQ(rows(database_, "SELECT name FROM curves"), name + "\n");
  EXPECT_EQ(rows(database_, "SELECT data ->> '$.message' FROM events WHERE type = 'warning'"), name + "\n");
}

TEST_F(IngestTest, QuarantinesTheRestOfACorruptJournalOnceItsWorkerIsGone) {
  {
    JournalWriter journal = job_.begin(1);
    journal.started(job_.id, 1, nullptr, 30);
    write_steps(journal, 1, 9);
  }
  const std::string good = read_file(job_.journal(1));
  std::string bad = good;
  bad[bad.find("\"step\":5") + 1] ^= 1;
  replace_file(job_.journal(1), bad);
  {
    const auto lock = FileLock::try_acquire(attempt_folder(job_.folder, 1) / "lock");
    ASSERT_TRUE(lock);
    const IngestReport living = ingest(job_);
    ASSERT_EQ(living.problems.size(), 1U);
    EXPECT_FALSE(living.problems[0].quarantined);
    EXPECT_EQ(rows(database_, "SELECT quarantine FROM attempts"), "\n");
  }
  const IngestReport report = ingest(job_);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_TRUE(report.problems[0].quarantined);
  EXPECT_NE(report.problems[0].message.find("checksum"), std::string::npos);
  EXPECT_EQ(rows(database_, "SELECT count(*) FROM events WHERE type = 'quarantined'"), "1\n");
  const std::string points = rows(database_, "SELECT count(*) FROM curves");
  EXPECT_NE(points, "0\n");
  EXPECT_NE(points, "9\n");
  EXPECT_TRUE(ingest(job_).problems.empty()) << "reported once";
  EXPECT_EQ(rows(database_, "SELECT count(*) FROM curves"), points);
}

TEST_F(IngestTest, GoesOnWhenALivingJournalComesRight) {
  {
    JournalWriter journal = job_.begin(1);
    journal.started(job_.id, 1, nullptr, 30);
    write_steps(journal, 1, 9);
  }
  const std::string good = read_file(job_.journal(1));
  std::string zeros = good;
  std::fill(zeros.begin() + static_cast<std::ptrdiff_t>(zeros.size() / 2), zeros.end() - 1, '\0');
  replace_file(job_.journal(1), zeros);
  const auto lock = FileLock::try_acquire(attempt_folder(job_.folder, 1) / "lock");
  EXPECT_EQ(ingest(job_).problems.size(), 1U);
  replace_file(job_.journal(1), good);
  EXPECT_TRUE(ingest(job_).problems.empty());
  EXPECT_EQ(rows(database_, "SELECT count(*) FROM curves"), "9\n");
}

TEST_F(IngestTest, SaysWhenAJournalBecameShorter) {
  {
    JournalWriter journal = job_.begin(1);
    journal.started(job_.id, 1, nullptr, 30);
    write_steps(journal, 1, 9);
  }
  static_cast<void>(ingest(job_));
  const std::string whole = read_file(job_.journal(1));
  replace_file(job_.journal(1), whole.substr(0, whole.size() / 2));
  const IngestReport report = ingest(job_);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_NE(report.problems[0].message.find("bytes"), std::string::npos);
  EXPECT_EQ(rows(database_, "SELECT count(*) FROM curves"), "9\n");
}

TEST_F(IngestTest, RefusesLinesThatAreNoEvents) {
  const std::vector<std::string> wrong = {
      R"("type":"metrics","step":1,"values":{"loss":1.2.3})",
      R"("type":"metrics","step":1,"values":{"loss":"high"})",
      R"("type":"metrics","step":1,"values":{"loss":[1]})",
      R"("type":"metrics","step":"one","values":{})",
      R"("type":"metrics","step":1,"values":{"loss":01})",
      R"("type":"metrics","step":1)",
      R"("type":"failed","message":"no cause")",
      R"("type":"finished")",
      R"("type":"started","job":"other","attempt":1,"restored":null,"steps":1)",
      R"("type":"measurement","name":"m","axes":[{"name":"a","values":[1,2]}],"values":[1])",
      R"("type":"measurement","name":"m","axes":[],"values":[{}])",
      R"("kind":"typeless")",
      "\"type\":\"warning\",\"code\":\"\xFF\"",
      R"("type":"checkpoint","step":1.5,"file":"f","digest":"d")"};
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    const TestJob job = make_job(workspace_, std::to_string(i));
    {
      JournalWriter journal = job.begin(1);
      journal.started(job.id, 1, nullptr, 30);
      write_steps(journal, 1, 3);
    }
    append_line(job.journal(1), wrong[i]);
    append_line(job.journal(1), R"("type":"metrics","step":4,"values":{"loss":9})");
    const IngestReport report = ingest(job);
    ASSERT_EQ(report.problems.size(), 1U) << wrong[i];
    EXPECT_TRUE(report.problems[0].quarantined);
    EXPECT_EQ(rows(database_, fmt::format("SELECT count(*), max(step) FROM curves WHERE job = '{}'", job.id)), "3|3\n")
        << wrong[i];
  }
}

TEST_F(IngestTest, KeepsEventsOfLaterVersions) {
  { job_.begin(1).started(job_.id, 1, nullptr, 30); }
  append_line(job_.journal(1), R"("type":"of_the_future","deep":{"a":[1,null,"x"]})");
  EXPECT_TRUE(ingest(job_).problems.empty());
  EXPECT_EQ(rows(database_, "SELECT type, data FROM events WHERE seq = 2"),
            "of_the_future|{\"deep\":{\"a\":[1,null,\"x\"]}}\n");
}

TEST_F(IngestTest, ExtendsTheLastChunkInsteadOfWritingTinyOnes) {
  JournalWriter journal = job_.begin(1);
  journal.started(job_.id, 1, nullptr, 1000);
  for (std::int64_t step = 1; step <= 600; ++step) {
    write_steps(journal, step, step);
    static_cast<void>(ingest(job_));
  }
  EXPECT_EQ(rows(database_, "SELECT name, number, count, first_step, last_step FROM curve_chunk ORDER BY name, number"),
            "learning_rate|0|60|10|600\nloss|0|256|1|256\nloss|1|256|257|512\nloss|2|88|513|600\n");
  EXPECT_EQ(rows(database_,
                 "SELECT count(DISTINCT step), count(*), sum(json_valid(points) = 0) FROM curves, curve_chunk WHERE "
                 "curves.name = 'loss'"),
            "600|2400|0\n");
}

TEST_F(IngestTest, RecordsHowTheAttemptWasCarriedOut) {
  JournalWriter journal = job_.begin(1);
  journal.started(job_.id, 1, nullptr, 1000);
  static_cast<void>(ingest(job_));
  EXPECT_EQ(rows(database_, "SELECT host, git_dirty FROM attempts"), "|\n");
  AttemptRecord record;
  record.number = 1;
  record.token = "t0";
  record.process.host = "node7";
  record.devices = {"cpu"};
  record.threads = 2;
  record.micro_batch = 4;
  record.versions = {{"torch", "2.11.0"}};
  record.commit = "abc";
  record.dirty = true;
  replace_file(attempt_folder(job_.folder, 1) / "attempt.json", to_json(record));
  write_steps(journal, 1, 1);
  EXPECT_TRUE(ingest(job_).problems.empty());
  EXPECT_EQ(rows(database_,
                 "SELECT token, host, devices ->> 0, threads, micro_batch, versions ->> '$.torch', git_commit, "
                 "git_dirty FROM attempts"),
            "t0|node7|cpu|2|4|2.11.0|abc|1\n");
}

TEST_F(IngestTest, RecordsAFailureAndLeavesTheStateToTheCoordinator) {
  {
    JournalWriter journal = job_.begin(1);
    journal.started(job_.id, 1, nullptr, 1000);
    journal.failed(Cause::kOutOfMemoryHost, "needed 41 GB");
  }
  EXPECT_TRUE(ingest(job_).problems.empty());
  EXPECT_EQ(rows(database_, "SELECT state, last_cause FROM jobs"), "queued|out_of_memory_host\n");
  EXPECT_EQ(rows(database_, "SELECT outcome, cause, message FROM attempts"),
            "failed|out_of_memory_host|needed 41 GB\n");
}

TEST_F(IngestTest, TakesAFailureThatCameBeforeTheStart) {
  {
    JournalWriter first = job_.begin(1);
    first.started(job_.id, 1, nullptr, 30);
    write_steps(first, 1, 9);
  }
  { job_.begin(2).failed(Cause::kData, "'words.bin' is missing"); }
  EXPECT_TRUE(ingest(job_).problems.empty());
  EXPECT_EQ(rows(database_, "SELECT outcome, cause, message, quarantine, started_at FROM attempts WHERE attempt = 2"),
            "failed|data|'words.bin' is missing||\n");
  EXPECT_EQ(rows(database_, "SELECT last_cause FROM jobs"), "data\n");
  EXPECT_EQ(rows(database_, "SELECT count(*) FROM curves"), "9\n") << "what never started supersedes nothing";
}

TEST_F(IngestTest, QuarantinesAnyOtherLineBeforeTheStart) {
  { job_.begin(1).finished({}); }
  const IngestReport report = ingest(job_);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_TRUE(report.problems[0].quarantined);
  EXPECT_EQ(rows(database_, "SELECT state FROM jobs"), "queued\n");
}

// A link to itself cannot be opened, whoever tries.
void make_unreadable(const fs::path& path) {
  if (fs::exists(path)) fs::rename(path, path.native() + ".aside");
  fs::create_symlink(path, path);
}

void make_readable(const fs::path& path) {
  fs::remove(path);
  fs::rename(path.native() + ".aside", path);
}

TEST_F(IngestTest, TriesAgainWhereAJournalCouldNotBeRead) {
  {
    JournalWriter journal = job_.begin(1);
    journal.started(job_.id, 1, nullptr, 30);
    write_steps(journal, 1, 9);
  }
  make_unreadable(job_.journal(1));
  for (int call = 0; call < 2; ++call) {
    const IngestReport report = ingest(job_);
    ASSERT_EQ(report.problems.size(), 1U);
    EXPECT_FALSE(report.problems[0].quarantined);
    EXPECT_NE(report.problems[0].message.find("journal.jsonl"), std::string::npos) << report.problems[0].message;
  }
  make_readable(job_.journal(1));
  EXPECT_TRUE(ingest(job_).problems.empty());
  EXPECT_EQ(rows(database_, "SELECT count(*) FROM curves"), "9\n");
}

TEST_F(IngestTest, ReadsTheOthersWhereALockCannotBeLookedAt) {
  const TestJob other = make_job(workspace_, "other");
  for (const TestJob* job : std::initializer_list<const TestJob*>{&job_, &other}) {
    JournalWriter journal = job->begin(1);
    journal.started(job->id, 1, nullptr, 30);
    write_steps(journal, 1, 9);
  }
  append_line(job_.journal(1), R"("type":"finished")");
  make_unreadable(attempt_folder(job_.folder, 1) / "lock");
  const std::vector<fs::path> folders = {job_.folder, other.folder};
  const IngestReport report = ingester_.ingest(folders);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_FALSE(report.problems[0].quarantined) << "its worker may live";
  EXPECT_EQ(rows(database_, "SELECT count(*) FROM curves"), "18\n");
  fs::remove(attempt_folder(job_.folder, 1) / "lock");
  EXPECT_TRUE(ingest(job_).problems.at(0).quarantined);
}

TEST_F(IngestTest, ReadsTheOthersWhereAFolderCannotBeRead) {
  const TestJob other = make_job(workspace_, "other");
  other.begin(1).started(other.id, 1, nullptr, 30);
  make_unreadable(job_.folder);
  const std::vector<fs::path> folders = {job_.folder, other.folder};
  const IngestReport report = ingester_.ingest(folders);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_EQ(report.problems[0].job_folder, job_.folder);
  EXPECT_FALSE(report.problems[0].quarantined);
  EXPECT_EQ(rows(database_, "SELECT job FROM attempts"), other.id + "\n");
}

TEST_F(IngestTest, RebuildsJobsFromTheirFolders) {
  const TestJob evaluation = make_job(workspace_, "perplexity", job_.id);
  for (const TestJob* job : std::initializer_list<const TestJob*>{&job_, &evaluation}) {
    JournalWriter journal = job->begin(1);
    journal.started(job->id, 1, nullptr, 0);
    journal.finished({});
  }
  const IngestReport report = ingester_.ingest(all_jobs(workspace_));
  EXPECT_TRUE(report.problems.empty());
  EXPECT_EQ(rows(database_, "SELECT kind, state, json_array_length(needs) FROM jobs ORDER BY kind"),
            "evaluate|done|1\ntrain|done|0\n");
  const std::vector<fs::path> nowhere = {workspace_.job(std::string(32, '0'))};
  EXPECT_TRUE(ingester_.ingest(nowhere).problems.empty());
}

TEST_F(IngestTest, ReportsAJobWhoseSpecIsNotItsOwnAndTakesTheOthers) {
  const TestJob spoiled = make_job(workspace_, "spoiled");
  for (const TestJob* job : std::initializer_list<const TestJob*>{&job_, &spoiled})
    job->begin(1).started(job->id, 1, nullptr, 0);
  replace_file(spoiled.folder / "job.json", "{\"kind\":\"train\"}\n");
  const IngestReport report = ingester_.ingest(all_jobs(workspace_));
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_EQ(report.problems[0].job_folder, spoiled.folder);
  EXPECT_EQ(rows(database_, "SELECT job FROM attempts"), job_.id + "\n");
}

}  // namespace
}  // namespace mestre
