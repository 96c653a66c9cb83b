#include "runners/scheduler.h"

#include <unistd.h>

#include <deque>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/journal/attempt.h"
#include "core/journal/writer.h"
#include "core/mixers/mlp/options.h"
#include "core/spec/job.h"
#include "core/tasks/perplexity/options.h"
#include "runners/coordinator_lock.h"

namespace mestre {
namespace {

// Carries out each task at once, as its script says; the next wait() reports its end.
class FakeRunner final : public Runner {
 public:
  explicit FakeRunner(Workspace workspace) : workspace_(std::move(workspace)) {}

  [[nodiscard]] std::string_view name() const override { return "local"; }
  [[nodiscard]] std::optional<std::string> refusal(const Demand& demand) const override {
    return demand.gpus > gpus ? std::optional<std::string>("no GPU here") : std::nullopt;
  }
  [[nodiscard]] bool has_room(const Demand& demand) const override {
    return taken_ + std::min(demand.cores, slots_) <= slots_;
  }
  [[nodiscard]] int at_a_time(const Demand&) const override { return slots_; }
  bool adopt(const Task& task) override {
    if (!alive_.contains(task.job)) return false;
    adopted.push_back(task.job);
    take(task);
    return true;
  }

  void start(std::string_view token, const Task& task) override {
    EXPECT_TRUE(fs::exists(workspace_.submission(token) / "tasks.tsv")) << "the intent comes first";
    EXPECT_EQ(read_launch(task.folder).token, token);
    started.push_back(task.job);
    tokens.push_back(std::string(token));
    take(task);
    EXPECT_LE(taken_, slots_);
    demands.push_back(task.demand);
    micro_batches.push_back(read_launch(task.folder).options.micro_batch);
    const std::string what = script[task.job].empty() ? "finish" : script[task.job].front();
    if (!script[task.job].empty()) script[task.job].pop_front();
    if (what == "vanish") return;
    const Claim claim = claim_attempt(task.folder, std::string(token));
    ASSERT_TRUE(claim.attempt);
    if (what == "die before the journal") return;
    JournalWriter journal(claim.attempt->folder / "journal.jsonl");
    journal.started(task.job, claim.attempt->number, nullptr, 10);
    if (what == "finish") journal.finished({});
    if (what == "diverge") journal.failed(Cause::kDiverged, "loss is not finite at step 3");
    if (what == "fill the GPU") journal.failed(Cause::kOutOfMemoryGpu, "CUDA out of memory");
    if (what == "yield") journal.failed(Cause::kPreempted, "signal 15");
  }

  std::vector<EndedTask> wait(std::chrono::milliseconds) override {
    std::vector<EndedTask> ended;
    for (const std::string& job : running_)
      ended.push_back({.job = job, .how = "killed by signal 9 (Killed)", .disk_full = disk_full});
    running_.clear();
    taken_ = 0;
    return ended;
  }

  std::unordered_map<std::string, std::deque<std::string>> script;  // what each attempt of a job does; then they finish
  std::unordered_set<std::string> alive_;
  std::vector<std::string> started;
  std::vector<std::string> tokens;
  std::vector<std::string> adopted;
  std::vector<Demand> demands;              // of what was started
  std::vector<std::int64_t> micro_batches;  // as launch.json had them
  int gpus = 0;
  int slots_ = 1;
  bool disk_full = false;

 private:
  void take(const Task& task) {
    running_.push_back(task.job);
    taken_ += std::min(task.demand.cores, slots_);
  }

  Workspace workspace_;
  std::vector<std::string> running_;
  int taken_ = 0;
};

class Recorder final : public RunObserver {
 public:
  void job_started(std::string_view, const fs::path&) override {}
  void job_adopted(std::string_view, const fs::path&) override {}
  void job_ended(const JobEnd& end) override { ends.push_back(end); }
  void problem(std::string_view message) override { problems.emplace_back(message); }
  void tick(const RunSnapshot& snapshot) override { last = snapshot; }
  std::vector<JobEnd> ends;
  std::vector<std::string> problems;
  RunSnapshot last;
};

TrainJob train_job(std::int64_t seed) {
  TrainJob job;
  job.model.options.width = 8;
  job.model.options.layers = {"mlp"};
  auto mlp = std::make_unique<MlpOptions>();
  mlp->intermediate = 16;
  job.model.instances.emplace("mlp", std::move(mlp));
  job.train.seed_init = seed;
  job.data = {.digest = "d1", .tokenizer = "bytes", .tokenizer_version = 1, .vocabulary = 257};
  return job;
}

class SchedulerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "mestre-scheduler-XXXXXX").native();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    workspace_.root = pattern;
    database_.emplace(Database::open_for_writing(workspace_.database()));
    plan_ = {.name = "sweep",
             .file = "sweep.toml",
             .axes = {{.name = "seed", .labels = {"1", "2", "3"}}},
             .data = {{"d1", "a.manifest"}}};
    for (int seed = 1; seed <= 3; ++seed) add_cell(seed);
  }
  void TearDown() override {
    database_.reset();
    fs::remove_all(workspace_.root);
  }

  void add_cell(int seed) {
    const std::string train = canonical_spec(train_job(seed));
    EvaluateJob evaluate{
        .checkpoint_job = job_id(train), .task = std::make_unique<PerplexityOptions>(), .data = train_job(seed).data};
    const std::string perplexity = canonical_spec(Job(std::move(evaluate)));
    const std::size_t first = plan_.jobs.size();
    // The seeds are to run in descending order, against the order of the plan.
    plan_.jobs.push_back({.id = job_id(train),
                          .kind = "train",
                          .name = "train",
                          .spec = train,
                          .data = "a.manifest",
                          .speed_key = "k",
                          .priority = -seed});
    plan_.jobs.push_back({.id = job_id(perplexity),
                          .kind = "evaluate",
                          .name = "perplexity",
                          .spec = perplexity,
                          .needs = {first},
                          .data = "a.manifest",
                          .speed_key = "k",
                          .priority = -seed});
    plan_.cells.push_back({.labels = {std::to_string(seed)},
                           .name = "seed=" + std::to_string(seed),
                           .jobs = {first, first + 1},
                           .options = "{}"});
  }

  bool run(FakeRunner& runner) {
    Scheduler scheduler({.workspace = workspace_, .data_root = "/data"}, {&plan_, 1}, *database_, runner, recorder_);
    return scheduler.run();
  }
  // What a coordinator that died leaves behind: the store says running, and the folder has an attempt.
  std::unique_ptr<JournalWriter> leave_running(int seed) {
    Ledger(*database_).record_plan(plan_);
    Ledger(*database_).set_state(train_of(seed), JobState::kRunning);
    const fs::path folder = workspace_.job(train_of(seed));
    make_durable_folders(folder);
    write_file_atomically(folder / "job.json", plan_.jobs[static_cast<std::size_t>(seed - 1) * 2].spec + "\n");
    write_file_atomically(folder / "launch.json",
                          to_json(Launch{.token = "earlier", .data_root = "/data", .data = "a.manifest"}));
    const Claim claim = claim_attempt(folder, "earlier");
    auto journal = std::make_unique<JournalWriter>(claim.attempt->folder / "journal.jsonl");
    journal->started(train_of(seed), 1, nullptr, 10);
    return journal;
  }
  std::ptrdiff_t starts_of(const FakeRunner& runner, const std::string& job) const {
    return std::count(runner.started.begin(), runner.started.end(), job);
  }

  const std::string& train_of(int seed) const { return plan_.jobs[static_cast<std::size_t>(seed - 1) * 2].id; }
  const std::string& evaluate_of(int seed) const { return plan_.jobs[static_cast<std::size_t>(seed - 1) * 2 + 1].id; }

  Workspace workspace_;
  std::optional<Database> database_;
  Plan plan_;
  Recorder recorder_;
};

TEST_F(SchedulerTest, GivesAJobThatFilledItsGpuOneMoreAttemptWithWhatFits) {
  for (PlannedJob& job : plan_.jobs) {
    job.launch.gpus = 1;
    job.launch.micro_batch = 8;
    job.estimate.memory.weights = 1e9;
  }
  FakeRunner runner(workspace_);
  runner.gpus = 1;
  runner.script[train_of(3)] = {"fill the GPU"};
  EXPECT_TRUE(run(runner));
  ASSERT_GE(runner.demands.size(), 2U);
  EXPECT_DOUBLE_EQ(runner.demands[0].gpu_memory, 1.15e9);
  EXPECT_EQ(runner.micro_batches[0], 8);
  const auto again = std::find(runner.started.begin() + 1, runner.started.end(), train_of(3)) - runner.started.begin();
  EXPECT_EQ(runner.demands.at(static_cast<std::size_t>(again)).gpu_memory, 0);
  EXPECT_EQ(runner.micro_batches[static_cast<std::size_t>(again)], kAutoMicroBatch);
  EXPECT_EQ(starts_of(runner, train_of(3)), 2);

  FakeRunner full(workspace_);
  full.gpus = 1;
  plan_.jobs.clear();
  plan_.cells.clear();
  add_cell(7);
  plan_.jobs[0].launch.gpus = 1;
  full.script[plan_.jobs[0].id] = {"fill the GPU", "fill the GPU", "fill the GPU"};
  EXPECT_FALSE(run(full));
  EXPECT_EQ(starts_of(full, plan_.jobs[0].id), 2);
}

TEST_F(SchedulerTest, RunsByPriorityWithEvaluationBehindItsTraining) {
  FakeRunner runner(workspace_);
  EXPECT_TRUE(run(runner));
  EXPECT_EQ(runner.started, (std::vector<std::string>{train_of(3), evaluate_of(3), train_of(2), evaluate_of(2),
                                                      train_of(1), evaluate_of(1)}));
  EXPECT_EQ(recorder_.last.cells_done, 3);
  EXPECT_EQ(recorder_.ends.front().name, "seed=3 train");
}

TEST_F(SchedulerTest, AFinishedSweepStartsNothing) {
  FakeRunner first(workspace_);
  ASSERT_TRUE(run(first));
  FakeRunner second(workspace_);
  EXPECT_TRUE(run(second));
  EXPECT_TRUE(second.started.empty());
}

TEST_F(SchedulerTest, AKilledAttemptIsFollowedByAnotherUnderANewToken) {
  FakeRunner runner(workspace_);
  runner.script[train_of(2)] = {"die", "vanish"};
  EXPECT_TRUE(run(runner));
  EXPECT_EQ(std::count(runner.started.begin(), runner.started.end(), train_of(2)), 3);
  std::unordered_set<std::string> tokens;
  for (std::size_t i = 0; i < runner.started.size(); ++i)
    if (runner.started[i] == train_of(2)) tokens.insert(runner.tokens[i]);
  EXPECT_EQ(tokens.size(), 3U);
  EXPECT_EQ(Ledger(*database_).state_of(train_of(2)), JobState::kDone);
}

TEST_F(SchedulerTest, TheBudgetEnds) {
  FakeRunner runner(workspace_);
  runner.script[train_of(1)] = std::deque<std::string>(50, "die");
  EXPECT_FALSE(run(runner));
  EXPECT_EQ(std::count(runner.started.begin(), runner.started.end(), train_of(1)), retry_budget("") + 1);
  EXPECT_EQ(Ledger(*database_).state_of(train_of(1)), JobState::kFailed);
  // A new run may try again what died by no fault of its own.
  runner.script[train_of(1)].clear();
  EXPECT_TRUE(run(runner));
}

TEST_F(SchedulerTest, ADivergedTrainingIsNotRepeatedAndHoldsUpOnlyItsOwn) {
  FakeRunner runner(workspace_);
  runner.script[train_of(3)] = {"diverge"};
  EXPECT_FALSE(run(runner));
  EXPECT_EQ(std::count(runner.started.begin(), runner.started.end(), train_of(3)), 1);
  EXPECT_EQ(std::count(runner.started.begin(), runner.started.end(), evaluate_of(3)), 0);
  EXPECT_EQ(runner.started.size(), 5U);
  EXPECT_EQ(recorder_.ends.front().reason, "diverged: loss is not finite at step 3");
  EXPECT_FALSE(run(runner)) << "its own fault: a new run does not try again by itself";
  EXPECT_EQ(runner.started.size(), 5U);
}

TEST_F(SchedulerTest, BudgetsAreCountedByCause) {
  FakeRunner runner(workspace_);
  runner.script[train_of(1)] = std::deque<std::string>(static_cast<std::size_t>(retry_budget("")) + 2, "yield");
  runner.script[train_of(1)].push_back("die");
  EXPECT_TRUE(run(runner)) << "many preemptions and one kill exceed the budget of neither";
}

TEST_F(SchedulerTest, AnAttemptWithoutAJournalIsNotJudgedByTheOneBefore) {
  FakeRunner runner(workspace_);
  runner.script[train_of(3)] = {"yield", "die before the journal"};
  EXPECT_TRUE(run(runner));
  ASSERT_GE(recorder_.ends.size(), 2U);
  EXPECT_EQ(recorder_.ends[0].reason, "preempted: signal 15");
  EXPECT_EQ(recorder_.ends[1].reason, "killed by signal 9 (Killed)");
}

TEST_F(SchedulerTest, ADiskThatTookNotEvenAJournalIsNotTriedAgain) {
  FakeRunner runner(workspace_);
  runner.disk_full = true;
  runner.script[train_of(3)] = {"die before the journal"};
  EXPECT_FALSE(run(runner));
  EXPECT_EQ(recorder_.ends[0].reason, "disk_full: no space left to write even the journal");
  EXPECT_EQ(starts_of(runner, train_of(3)), 1);
  runner.disk_full = false;
  EXPECT_TRUE(run(runner)) << "the next run goes on";
}

TEST_F(SchedulerTest, ALivingAttemptOfAnEarlierCoordinatorIsAdoptedNotRepeated) {
  FakeRunner runner(workspace_);
  leave_running(1)->finished({});
  runner.alive_ = {train_of(1)};
  EXPECT_TRUE(run(runner));
  EXPECT_EQ(starts_of(runner, train_of(1)), 0);
  EXPECT_EQ(Ledger(*database_).state_of(train_of(1)), JobState::kDone);
}

TEST_F(SchedulerTest, WhatFailedByItsOwnFaultWhileNobodyLookedHasFailed) {
  FakeRunner runner(workspace_);
  leave_running(1)->failed(Cause::kDiverged, "loss is not finite at step 3");
  EXPECT_FALSE(run(runner));
  EXPECT_EQ(starts_of(runner, train_of(1)), 0);
  EXPECT_EQ(starts_of(runner, train_of(2)), 1);
  EXPECT_EQ(Ledger(*database_).state_of(train_of(1)), JobState::kFailed);
}

TEST_F(SchedulerTest, WhatWasRunningAndHasNoFolderRunsAgain) {
  FakeRunner runner(workspace_);
  leave_running(1)->finished({});
  fs::remove_all(workspace_.job(train_of(1)));
  EXPECT_TRUE(run(runner));
  EXPECT_EQ(starts_of(runner, train_of(1)), 1);
}

TEST_F(SchedulerTest, AJobOfAnotherSweepIsQueuedAgainOnlyWhereThatMayHelp) {
  leave_running(1)->failed(Cause::kDiverged, "loss is not finite at step 3");
  leave_running(2).reset();
  const std::string diverged = train_of(1);
  const std::string killed = train_of(2);
  FakeRunner runner(workspace_);
  runner.alive_ = {diverged, killed};
  plan_.jobs.clear();
  plan_.cells.clear();
  plan_.name = "another";
  add_cell(5);
  EXPECT_TRUE(run(runner));
  EXPECT_EQ(runner.adopted.size(), 2U);
  EXPECT_EQ(Ledger(*database_).state_of(diverged), JobState::kFailed);
  EXPECT_EQ(Ledger(*database_).state_of(killed), JobState::kQueued);
}

TEST_F(SchedulerTest, JobsTakeASlotAThread) {
  FakeRunner runner(workspace_);  // expects to have the slots that it is asked for
  runner.slots_ = 3;
  for (PlannedJob& job : plan_.jobs) job.launch.threads = 2;
  plan_.jobs[0].launch.threads = 8;
  EXPECT_TRUE(run(runner)) << "a job with more threads than there are slots gets all of them";
  EXPECT_EQ(runner.started.size(), 6U);
}

TEST_F(SchedulerTest, WhatCanNeverRunHereIsRefusedBeforeAnythingStarts) {
  FakeRunner runner(workspace_);
  plan_.jobs[4].launch.gpus = 1;
  EXPECT_THROW((void)run(runner), Error);
  EXPECT_TRUE(runner.started.empty());
}

TEST_F(SchedulerTest, OnlyTheNamedJobsRunAndOthersAreLeftAlone) {
  FakeRunner runner(workspace_);
  const std::unique_ptr<JournalWriter> other = leave_running(1);
  runner.alive_ = {train_of(1)};
  Scheduler scheduler({.workspace = workspace_, .data_root = "/data", .only = {train_of(2), evaluate_of(2)}},
                      {&plan_, 1}, *database_, runner, recorder_);
  EXPECT_TRUE(scheduler.run());
  EXPECT_EQ(runner.started, (std::vector<std::string>{train_of(2), evaluate_of(2)}));
  EXPECT_TRUE(runner.adopted.empty());
  EXPECT_EQ(Ledger(*database_).cells("sweep").size(), 3U) << "the sweep is recorded whole";
}

TEST_F(SchedulerTest, OneCoordinatorPerWorkspace) {
  std::optional<CoordinatorLock> first = CoordinatorLock::acquire(workspace_);
  EXPECT_FALSE(CoordinatorLock::try_acquire(workspace_));
  try {
    (void)CoordinatorLock::acquire(workspace_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBusy);
    EXPECT_NE(std::string(error.what()).find("process " + std::to_string(::getpid())), std::string::npos)
        << error.what();
  }
  first.reset();
  EXPECT_TRUE(CoordinatorLock::try_acquire(workspace_));
}

TEST_F(SchedulerTest, CoordinatorOutlastsWhoHoldsTheLockForAMoment) {
  std::optional<CoordinatorLock> passing = CoordinatorLock::acquire(workspace_);
  std::jthread leaves([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    passing.reset();
  });
  EXPECT_NO_THROW((void)CoordinatorLock::acquire(workspace_));
}

}  // namespace
}  // namespace mestre
