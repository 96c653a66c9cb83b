#include "store/ledger.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/plan/plan.h"
#include "store/ingest.h"
#include "store/store_test.h"

namespace mestre {
namespace {

// Cells {A, B} x {1, 2}, each a training job and an evaluation.
Plan small_plan() {
  Plan plan;
  plan.name = "small";
  plan.question = "which?";
  plan.file = "experiments/small.toml";
  plan.baseline = {{"architecture", "A"}};
  plan.axes = {{.name = "architecture", .labels = {"A", "B"}},
               {.name = "seed", .labels = {"1", "2"}, .replicates = true}};
  for (const char* architecture : {"A", "B"}) {
    for (const char* seed : {"1", "2"}) {
      const std::string name = fmt::format("architecture={},seed={}", architecture, seed);
      const std::size_t first = plan.jobs.size();
      PlannedJob train;
      train.spec = fmt::format(R"({{"kind":"train","x":"{}"}})", name);
      train.id = xxh3_128(train.spec);
      train.kind = train.name = "train";
      train.speed_key = architecture;
      train.estimate.seconds = 40;
      train.priority = seed[0] - '1';
      PlannedJob evaluate = train;
      evaluate.spec = fmt::format(R"({{"checkpoint":{{"job":"{}"}},"kind":"evaluate"}})", train.id);
      evaluate.id = xxh3_128(evaluate.spec);
      evaluate.kind = "evaluate";
      evaluate.name = "perplexity";
      evaluate.needs = {first};
      evaluate.estimate.seconds = 2;
      plan.jobs.push_back(train);
      plan.jobs.push_back(evaluate);
      plan.cells.push_back({.labels = {architecture, seed},
                            .name = name,
                            .jobs = {first, first + 1},
                            .options = R"({"train":{"tokens":5}})"});
    }
  }
  return plan;
}

class LedgerTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  Workspace workspace_{folder_.path()};
  Database database_ = Database::open_for_writing(workspace_.database());
  Ledger ledger_{database_};
  Plan plan_ = small_plan();

  // A journal of the planned job that ends well.
  void finish(const PlannedJob& job, double tokens_per_second) {
    const fs::path folder = workspace_.job(job.id);
    fs::create_directories(attempt_folder(folder, 1));
    {
      JournalWriter journal(attempt_folder(folder, 1) / "journal.jsonl");
      journal.started(job.id, 1, nullptr, 5);
      const std::vector<Metric> summary = {{"loss", 2.5}, {"tokens_per_second", tokens_per_second}};
      journal.finished(summary);
    }
    EXPECT_TRUE(Ingester(database_).ingest({&folder, 1}).problems.empty());
  }
};

TEST_F(LedgerTest, WantsTheJobsOfThePlanInItsOrder) {
  ledger_.record_plan(plan_);
  const std::vector<WantedJob> wanted = ledger_.wanted("small");
  ASSERT_EQ(wanted.size(), plan_.jobs.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(wanted[i].id, plan_.jobs[i].id);
    EXPECT_EQ(wanted[i].state, JobState::kQueued);
  }
  EXPECT_EQ(rows(database_, "SELECT needs, launch FROM jobs WHERE job = '" + plan_.jobs[1].id + "'"),
            "[\"" + plan_.jobs[0].id + "\"]|" + canonical_json(plan_.jobs[1].launch) + "\n");
  EXPECT_EQ(rows(database_, "SELECT cell, name FROM run_jobs WHERE job = '" + plan_.jobs[1].id + "'"),
            "architecture=A,seed=1|" + plan_.jobs[1].name + "\n");
}

TEST_F(LedgerTest, SharesAJobBetweenCellsAndSweeps) {
  plan_.cells[1].jobs = plan_.cells[0].jobs;
  ledger_.record_plan(plan_);
  Plan other = small_plan();
  other.name = "other";
  ledger_.record_plan(other);
  EXPECT_EQ(ledger_.job(plan_.jobs[0].id).cells,
            (std::vector<std::string>{"other/architecture=A,seed=1", "small/architecture=A,seed=1",
                                      "small/architecture=A,seed=2"}));
  EXPECT_EQ(rows(database_, "SELECT count(*) FROM jobs"), "8\n");
}

TEST_F(LedgerTest, KeepsStatesWhenThePlanIsRecordedAgain) {
  ledger_.record_plan(plan_);
  finish(plan_.jobs[0], 100);
  ledger_.set_state(plan_.jobs[1].id, JobState::kFailed);
  plan_.cells.pop_back();
  ledger_.record_plan(plan_);
  EXPECT_EQ(ledger_.state_of(plan_.jobs[0].id), JobState::kDone);
  EXPECT_EQ(ledger_.state_of(plan_.jobs[1].id), JobState::kFailed);
  const IdTable finished = ledger_.finished();
  EXPECT_EQ(finished.size(), 1U);
  EXPECT_TRUE(finished.contains(plan_.jobs[0].id));
  EXPECT_EQ(rows(database_, "SELECT count(*), sum(state = 'failed') FROM runs"), "3|1\n");
}

TEST_F(LedgerTest, WritesCellsAgainOnlyWhenTheyChanged) {
  constexpr const char* kCells = "SELECT cell_id, name, labels ->> '$.seed', options FROM cell ORDER BY number";
  ledger_.record_plan(plan_);
  const std::string before = rows(database_, kCells);
  plan_.jobs[0].launch.threads = 2;
  ledger_.record_plan(plan_);
  EXPECT_EQ(rows(database_, kCells), before);
  EXPECT_EQ(rows(database_, "SELECT launch ->> '$.threads' FROM jobs LIMIT 1"), "2\n");
  plan_.cells[0].labels[1] = "3";
  ledger_.record_plan(plan_);
  EXPECT_EQ(rows(database_, "SELECT labels ->> '$.seed' FROM runs ORDER BY number"), "3\n2\n1\n2\n");
}

// A journal that is restored at half of its steps, and after a tenth of the job at 100 tokens/s still open.
TEST_F(LedgerTest, CountsTimeLeftByTheSpeedOfTheAttempt) {
  plan_.jobs[0].estimate.tokens = 1000;
  plan_.jobs[1].estimate.tokens = 100;
  ledger_.record_plan(plan_);
  const fs::path folder = workspace_.job(plan_.jobs[0].id);
  fs::create_directories(attempt_folder(folder, 1));
  JournalWriter journal(attempt_folder(folder, 1) / "journal.jsonl");
  journal.started(plan_.jobs[0].id, 1, nullptr, 10);
  journal.progress(6, 10, 100);
  EXPECT_TRUE(Ingester(database_).ingest({&folder, 1}).problems.empty());
  ledger_.set_state(plan_.jobs[0].id, JobState::kRunning);
  EXPECT_NEAR(ledger_.cells("small")[0].seconds_left, 0.4 * 1000 / 100 + 2, 1e-9) << "and the evaluation as planned";
}

TEST(Ledger, TakesTheNearestSpeedThatIsKnown) {
  const JobWork planned{.tokens = 1000, .planned_seconds = 40};
  const JobWork measured{.tokens = 1000, .planned_seconds = 40, .tokens_per_second = 50};
  const JobProgress begun{.done = 5, .total = 10};
  const JobProgress running{.done = 5, .total = 10, .tokens_per_second = 10};
  EXPECT_EQ(seconds_left(planned, nullptr), 40);
  EXPECT_EQ(seconds_left(planned, &begun), 20);
  EXPECT_EQ(seconds_left(measured, nullptr), 20);
  EXPECT_EQ(seconds_left(measured, &begun), 10);
  EXPECT_EQ(seconds_left(measured, &running), 50);
  EXPECT_EQ(seconds_left({.planned_seconds = 40, .tokens_per_second = 50}, nullptr), 40) << "no tokens to divide";
}

TEST_F(LedgerTest, BelievesWhoKnowsBetter) {
  ledger_.record_plan(plan_);
  for (const std::size_t job : {0, 2, 4}) ledger_.set_state(plan_.jobs[job].id, JobState::kRunning);
  const KnownStates known = {{plan_.jobs[0].id, JobState::kQueued},
                             {plan_.jobs[2].id, JobState::kFailed},
                             {plan_.jobs[6].id, JobState::kFailed}};  // which the ledger does not take to be running
  const std::vector<CellStatus> cells = ledger_.cells("small", known);
  EXPECT_EQ(cells[0].state, JobState::kQueued);
  EXPECT_TRUE(cells[0].interrupted);
  EXPECT_EQ(cells[1].state, JobState::kFailed);
  EXPECT_EQ(cells[2].state, JobState::kRunning);
  EXPECT_EQ(cells[3].state, JobState::kQueued);
  EXPECT_FALSE(cells[3].interrupted);
  const std::map<JobState, std::int64_t> jobs = ledger_.sweeps(known)[0].jobs;
  EXPECT_EQ(jobs.at(JobState::kRunning), 1);
  EXPECT_EQ(jobs.at(JobState::kQueued), 6);
  EXPECT_EQ(jobs.at(JobState::kFailed), 1);
}

TEST_F(LedgerTest, ShowsCellsAsTheViewDoes) {
  ledger_.record_plan(plan_);
  finish(plan_.jobs[0], 100);
  finish(plan_.jobs[1], 400);
  finish(plan_.jobs[2], 200);
  ledger_.set_state(plan_.jobs[4].id, JobState::kRunning);
  ledger_.set_state(plan_.jobs[6].id, JobState::kFailed);
  const std::vector<CellStatus> cells = ledger_.cells("small");
  ASSERT_EQ(cells.size(), 4U);
  EXPECT_EQ(cells[0].state, JobState::kDone);
  EXPECT_EQ(cells[1].state, JobState::kQueued);
  EXPECT_EQ(cells[1].jobs_done, 1);
  EXPECT_EQ(cells[1].seconds_left, 2);
  EXPECT_EQ(cells[2].state, JobState::kRunning);
  EXPECT_EQ(cells[3].state, JobState::kFailed);
  EXPECT_EQ(cells[3].labels, (std::vector<std::pair<std::string, std::string>>{{"architecture", "B"}, {"seed", "2"}}));
  std::string states;
  for (const CellStatus& cell : cells)
    states += fmt::format("{}|{}|{}\n", name_of(cell.state), cell.jobs, cell.jobs_done);
  EXPECT_EQ(rows(database_, "SELECT state, jobs, jobs_done FROM runs ORDER BY number"), states);
  EXPECT_EQ(rows(database_,
                 "SELECT metrics ->> '$.train.loss', labels ->> '$.architecture', options ->> '$.train.tokens' FROM "
                 "runs LIMIT 1"),
            "2.5|A|5\n");
}

TEST_F(LedgerTest, KnowsSpeedsByKey) {
  ledger_.record_plan(plan_);
  EXPECT_TRUE(ledger_.speeds().empty());
  finish(plan_.jobs[0], 100);
  finish(plan_.jobs[2], 200);
  const std::map<std::string, MeasuredSpeed> speeds = ledger_.speeds();
  ASSERT_EQ(speeds.size(), 1U);
  const MeasuredSpeed& speed = speeds.at("A");
  EXPECT_EQ(speed.tokens_per_second, 150);
  EXPECT_EQ(speed.runs, 2);
  EXPECT_NEAR(speed.deviation, 70.71, 0.01);
}

TEST_F(LedgerTest, TellsProgressOfRunningJobs) {
  ledger_.record_plan(plan_);
  const std::string& id = plan_.jobs[0].id;
  const fs::path folder = workspace_.job(id);
  fs::create_directories(attempt_folder(folder, 1));
  JournalWriter journal(attempt_folder(folder, 1) / "journal.jsonl");
  journal.started(id, 1, nullptr, 5);
  journal.progress(3, 5, 77.5);
  static_cast<void>(Ingester(database_).ingest({&folder, 1}));
  EXPECT_TRUE(ledger_.progress().empty()) << "the coordinator has not said that it runs";
  ledger_.set_state(id, JobState::kRunning);
  const std::vector<JobProgress> progress = ledger_.progress();
  ASSERT_EQ(progress.size(), 1U);
  EXPECT_EQ(progress[0].job, id);
  EXPECT_EQ(progress[0].done, 3);
  EXPECT_EQ(progress[0].total, 5);
  EXPECT_EQ(progress[0].tokens_per_second, 77.5);
  ASSERT_EQ(ledger_.cells("small")[0].running.size(), 1U);
  EXPECT_EQ(ledger_.cells("small")[0].running[0].job, id);
}

TEST_F(LedgerTest, RecordsSubmissionsWholeOrNotAtAll) {
  ledger_.record_plan(plan_);
  ledger_.record_submission({.token = "aa", .runner = "local", .members = {plan_.jobs[0].id, plan_.jobs[2].id}});
  EXPECT_THROW(ledger_.record_submission({.token = "bb", .runner = "local", .members = {plan_.jobs[0].id, "unknown"}}),
               Error);
  EXPECT_EQ(
      rows(database_, "SELECT token, runner, count(*) FROM submission JOIN submission_member USING (submission_id)"),
      "aa|local|2\n");
  const std::vector<std::string_view> jobs = {plan_.jobs[0].id, "unknown"};
  EXPECT_THROW(ledger_.set_states(jobs, JobState::kRunning), Error);
  EXPECT_EQ(ledger_.state_of(plan_.jobs[0].id), JobState::kQueued);
}

TEST_F(LedgerTest, MarksAnAttemptKilledUnlessItsJournalSaysMore) {
  ledger_.record_plan(plan_);
  ledger_.mark_killed(plan_.jobs[0].id, 1);
  finish(plan_.jobs[2], 1);
  ledger_.mark_killed(plan_.jobs[2].id, 1);
  EXPECT_EQ(ledger_.job(plan_.jobs[0].id).attempts.at(0).outcome, "killed");
  EXPECT_EQ(ledger_.job(plan_.jobs[2].id).attempts.at(0).outcome, "finished");
  finish(plan_.jobs[0], 1);
  EXPECT_EQ(ledger_.job(plan_.jobs[0].id).attempts.at(0).outcome, "finished");
}

TEST_F(LedgerTest, FindsJobsByWhatPeopleCallThem) {
  ledger_.record_plan(plan_);
  Plan other = small_plan();
  other.name = "other";
  other.axes[0].labels[0] = other.cells[0].labels[0] = "A/B with a slash";
  ledger_.record_plan(other);
  const auto ids = [&](std::initializer_list<std::size_t> jobs) {
    std::vector<std::string> list;
    for (const std::size_t job : jobs) list.push_back(plan_.jobs[job].id);
    return list;
  };
  EXPECT_EQ(ledger_.find("small/architecture=A,seed=2"), ids({2, 3}));
  EXPECT_EQ(ledger_.find("seed=2,architecture=A"), ids({2, 3}));
  EXPECT_EQ(ledger_.find("small/architecture=B"), ids({4, 5, 6, 7}));
  EXPECT_EQ(ledger_.find("other/architecture=A/B with a slash,seed=1"), ids({0, 1}));
  EXPECT_EQ(ledger_.find(plan_.jobs[0].id.substr(0, 8)), ids({0}));
  EXPECT_EQ(ledger_.find(plan_.jobs[0].id), ids({0}));
  EXPECT_TRUE(ledger_.find("architecture=C").empty());
  EXPECT_TRUE(ledger_.find("").empty());
  EXPECT_TRUE(ledger_.find("zzzz").empty());
}

TEST_F(LedgerTest, NamesTheSweepsItKnows) {
  ledger_.record_plan(plan_);
  try {
    static_cast<void>(ledger_.wanted("smal"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_EQ(error.hints().at(0), "expected 'small'");
  }
  const std::vector<SweepSummary> sweeps = ledger_.sweeps();
  ASSERT_EQ(sweeps.size(), 1U);
  EXPECT_EQ(sweeps[0].cells, 4);
  EXPECT_EQ(sweeps[0].jobs, (std::map<JobState, std::int64_t>{{JobState::kQueued, 8}}));
}

}  // namespace
}  // namespace mestre
