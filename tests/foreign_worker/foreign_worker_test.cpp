// A worker in Python that was written from runners/worker/worker_contract.md: what it leaves is what mestre's own
// reader expects, and becomes the rows that a worker of ours would have left.

#include <csignal>
#include <cstdlib>

#include <gtest/gtest.h>

#include "core/base/hash.h"
#include "core/journal/folders.h"
#include "core/journal/scanner.h"
#include "store/ingest.h"
#include "store/query.h"
#include "tests/worker_jobs.h"

namespace mestre {
namespace {

pid_t start_foreign(const fs::path& job, const std::string& token = "token") {
  const std::string script = (fs::path(std::getenv("MESTRE_SOURCE")) / "tests/foreign_worker/worker.py").native();
  return start({std::getenv("MESTRE_PYTHON"), script, "run", job.native(), "--token", token}, job / "console.txt");
}

int run_foreign(const fs::path& job, const std::string& token = "token") {
  return wait_for(start_foreign(job, token));
}

/// The one number or text that `sql` asks of a store that has read this job.
SqlValue ingest_and_ask(const WorkerJobs& jobs, const fs::path& job, const std::string& sql) {
  Database database = Database::open_for_writing(jobs.path() / "mestre.db");
  for (const IngestProblem& problem : Ingester(database).ingest({&job, 1}).problems)
    ADD_FAILURE() << problem.job_folder << ": " << problem.message;
  return query_table(database, sql).rows.at(0).at(0);
}

TEST(ForeignWorker, LeavesAJournalThatOursReads) {
  const WorkerJobs jobs;
  const fs::path job = jobs.add(jobs.small_training());
  ASSERT_EQ(run_foreign(job), 0) << read_file(job / "console.txt");
  const std::vector<JournalLine> lines = journal_of(job, 1);
  ASSERT_EQ(lines.size(), 1 + 6 + 1 + 1U);
  EXPECT_EQ(lines.front().type, "started");
  EXPECT_TRUE(lines.front().fresh);
  EXPECT_EQ(lines[6].step, 6);
  EXPECT_LT(lines[6].value("loss"), lines[1].value("loss"));
  EXPECT_EQ(lines[7].name, "perplexity");
  EXPECT_EQ(lines.back().value("tokens"), 6 * 32);
  EXPECT_EQ(ending_of(attempt_folder(job, 1) / "journal.jsonl"), Ending::kFinished);
  EXPECT_FALSE(FileLock::is_held(attempt_folder(job, 1) / "lock"));
  EXPECT_EQ(ingest_and_ask(jobs, job, "SELECT count(*) FROM curves JOIN jobs USING (job) WHERE state = 'done'"),
            SqlValue(std::int64_t{6}));
}

TEST(ForeignWorker, DoesNothingWhereThereIsNothingForIt) {
  const WorkerJobs jobs;
  const fs::path job = jobs.add(jobs.small_training());
  EXPECT_EQ(run_foreign(job, "another"), 0);
  EXPECT_TRUE(attempts_of(job).empty());
  ASSERT_EQ(run_foreign(job), 0);
  EXPECT_EQ(run_foreign(job), 0);
  EXPECT_EQ(attempts_of(job), std::vector<int>{1});
}

TEST(ForeignWorker, HoldsItsLockAndIsFollowedByTheNextAttempt) {
  const WorkerJobs jobs;
  TrainJob training = jobs.small_training();
  training.train.tokens = 1'000'000'000;
  const fs::path job = jobs.add(training);
  const auto has_points = [&](int attempt) {
    return [&, attempt] { return !lines_of(job, attempt, "metrics").empty(); };
  };
  HeldWorker worker(start_foreign(job));
  ASSERT_TRUE(worker.run_until(has_points(1)));
  EXPECT_TRUE(FileLock::is_held(attempt_folder(job, 1) / "lock"));
  ASSERT_EQ(worker.finish(SIGKILL), -SIGKILL);
  EXPECT_FALSE(FileLock::is_held(attempt_folder(job, 1) / "lock"));

  HeldWorker next(start_foreign(job));
  ASSERT_TRUE(next.run_until(has_points(2)));
  fs::create_directory(attempt_folder(job, 3));
  EXPECT_EQ(next.finish(), 0);
  EXPECT_EQ(ending_of(attempt_folder(job, 2) / "journal.jsonl"), Ending::kNone)
      << "a superseded attempt publishes nothing";
}

TEST(ForeignWorker, NamesTheCauseOfItsFailure) {
  const WorkerJobs jobs;
  const fs::path job = jobs.add(jobs.small_training());
  fs::remove(jobs.path() / "data/words.bin");
  EXPECT_EQ(run_foreign(job), 1);
  EXPECT_EQ(journal_of(job, 1).back().cause, "data");
  EXPECT_EQ(ingest_and_ask(jobs, job, "SELECT cause FROM attempts WHERE outcome = 'failed' AND quarantine = ''"),
            SqlValue("data"));
}

// The page shows three lines to try one's own checksum on.
TEST(WorkerContract, ItsExampleChecksOut) {
  const std::string page = read_file(fs::path(std::getenv("MESTRE_SOURCE")) / "runners/worker/worker_contract.md");
  JournalCursor cursor;
  std::size_t at = page.find("{\"seq\":1");
  for (int line = 1; line <= 3; ++line) {
    ASSERT_NE(at, std::string::npos);
    const std::string text = page.substr(at, page.find('\n', at) - at);
    EXPECT_EQ(check_line(text, cursor), "") << text;
    at = page.find("{\"seq\"", at + text.size());
  }
}

}  // namespace
}  // namespace mestre
