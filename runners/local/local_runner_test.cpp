#include "runners/local/local_runner.h"

#include <thread>

#include <gtest/gtest.h>

#include "core/data/test_folder.h"

namespace mestre {
namespace {

constexpr auto kMoment = std::chrono::milliseconds(1);

/// A workspace with one job, whose first attempt was claimed by a worker of an earlier coordinator: by us.
class LocalRunnerTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(attempt_);
    lock_ = FileLock::try_acquire(attempt_ / "lock");
    ASSERT_TRUE(lock_);
  }

  TestFolder folder_;
  Workspace workspace_{folder_.path()};
  Task task_{.job = std::string(32, 'a'), .folder = workspace_.job(std::string(32, 'a'))};
  fs::path attempt_ = attempt_folder(task_.folder, 1);
  std::optional<FileLock> lock_;
  LocalRunner runner_{workspace_, {"/nonexistent"}, {.cores = 2}};
};

TEST_F(LocalRunnerTest, WatchesTheLockOfAWorkerThatSaysNothingOfItself) {
  ASSERT_TRUE(runner_.adopt(task_));
  EXPECT_TRUE(runner_.has_room({.cores = 1}));
  EXPECT_FALSE(runner_.has_room({.cores = 2}));
  EXPECT_TRUE(runner_.wait(kMoment).empty());
  lock_.reset();
  const std::vector<EndedTask> ended = runner_.wait(kMoment);
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].job, task_.job);
  EXPECT_TRUE(runner_.has_room({.cores = 2}));
  EXPECT_FALSE(runner_.adopt(task_));
}

TEST_F(LocalRunnerTest, WatchesTheLockWhereTheRecordIsNoRecord) {
  for (const char* text : {"{\"attempt\":1,", "[]", "{\"attempt\":1,\"token\":\"t\",\"process\":7}"}) {
    replace_file(attempt_ / "attempt.json", text);
    ASSERT_TRUE(runner_.adopt(task_));
    EXPECT_TRUE(runner_.wait(kMoment).empty()) << text;
    lock_.reset();
    EXPECT_EQ(runner_.wait(kMoment).size(), 1U) << text;
    lock_ = FileLock::try_acquire(attempt_ / "lock");
  }
}

TEST_F(LocalRunnerTest, CountsOnNoGpuWhileAWorkerDoesNotSayWhichItHas) {
  LocalRunner runner{workspace_, {"/nonexistent"}, {.cores = 4, .gpus = {{.uuid = "GPU-aa11", .memory_bytes = 1e9}}}};
  ASSERT_TRUE(runner.adopt(task_));
  EXPECT_FALSE(runner.has_room({.gpus = 1}));
  EXPECT_TRUE(runner.has_room({.gpus = 0}));
}

/// A worker that writes which GPUs it sees into its job's folder, and lives until that folder has a file 'go'.
class GpuRunnerTest : public testing::Test {
 protected:
  void SetUp() override {
    write_file_atomically(script_,
                          "cd \"$2\"; echo $$ > pid; echo \"gpus:$CUDA_VISIBLE_DEVICES\" > seen.tmp; mv seen.tmp seen; "
                          "until test -e go; do sleep 0.01; done\n");
  }
  void TearDown() override {
    for (const Task& task : started_) write_file_atomically(task.folder / "go", "");
    for (int i = 0; i < 500 && !started_.empty(); ++i) {
      for (const EndedTask& ended : runner_.wait(std::chrono::milliseconds(10)))
        std::erase_if(started_, [&](const Task& task) { return task.job == ended.job; });
    }
    EXPECT_TRUE(started_.empty());
  }

  const Task& start(char letter, const Demand& demand) {
    const std::string id(32, letter);
    const Task task{.job = id, .folder = workspace_.job(id), .demand = demand};
    make_durable_folders(workspace_.submission("token"));
    make_durable_folders(task.folder);
    replace_file(task.folder / "launch.json", to_json(Launch{.token = "token", .data_root = "/d", .data = "m"}));
    runner_.start("token", task);
    started_.push_back(task);
    return started_.back();
  }
  static std::string seen_by(const Task& task) {
    for (int i = 0; i < 1000; ++i) {
      if (const auto text = read_file_if_exists(task.folder / "seen")) return *text;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return "nothing";
  }

  TestFolder folder_;
  Workspace workspace_{folder_.path()};
  fs::path script_ = folder_.path() / "worker.sh";
  LocalMachine machine_{.cores = 8,
                        .gpus = {{.uuid = "GPU-aa11", .name = "NVIDIA H200", .memory_bytes = 100e9},
                                 {.uuid = "GPU-bb22", .name = "NVIDIA H200", .memory_bytes = 100e9}}};
  LocalRunner runner_{workspace_, {"/bin/sh", script_.native()}, machine_};
  std::vector<Task> started_;
};

TEST_F(GpuRunnerTest, ShowsEachWorkerItsOwnGpus) {
  EXPECT_EQ(seen_by(start('a', {.gpus = 1, .gpu_memory = 60e9})), "gpus:GPU-aa11\n");
  EXPECT_EQ(seen_by(start('b', {.gpus = 0})), "gpus:\n");
  EXPECT_FALSE(runner_.has_room({.gpus = 2}));
  EXPECT_EQ(seen_by(start('c', {.gpus = 1, .gpu_memory = 60e9})), "gpus:GPU-bb22\n");
  EXPECT_FALSE(runner_.has_room({.gpus = 1, .gpu_memory = 60e9}));
  EXPECT_EQ(seen_by(start('d', {.gpus = 1, .gpu_memory = 30e9})), "gpus:GPU-aa11\n");
}

TEST_F(GpuRunnerTest, FindsTheGpusOfAWorkerThatItTakesOver) {
  const Task task = start('a', {.gpus = 1, .gpu_memory = 60e9});
  ASSERT_EQ(seen_by(task), "gpus:GPU-aa11\n");
  const Claim claim = claim_attempt(task.folder, "token");  // in the place of the worker, which says who it is
  ASSERT_TRUE(claim.attempt);
  ProcessIdentity identity = this_process();
  identity.pid = std::stoll(read_file(task.folder / "pid"));
  identity.start_time = start_time_of(identity.pid).value();
  replace_file(claim.attempt->folder / "attempt.json",
               to_json(AttemptRecord{.number = 1, .token = "token", .process = identity}));

  LocalRunner successor{workspace_, {"/nonexistent"}, machine_};
  ASSERT_TRUE(successor.adopt({.job = task.job, .folder = task.folder, .demand = {.gpus = 1, .gpu_memory = 60e9}}));
  EXPECT_FALSE(successor.has_room({.gpus = 2}));
  EXPECT_TRUE(successor.has_room({.gpus = 1}));
  LocalRunner stranger{workspace_, {"/nonexistent"}, machine_};  // one that has no plan for this job
  ASSERT_TRUE(stranger.adopt({.job = task.job, .folder = task.folder, .demand = {}}));
  EXPECT_FALSE(stranger.has_room({.gpus = 2}));
}

TEST_F(GpuRunnerTest, RefusesMoreGpusThanThereAre) {
  EXPECT_EQ(runner_.refusal({.gpus = 2}), std::nullopt);
  EXPECT_EQ(runner_.refusal({.gpus = 3}), "it takes 3 GPUs, and this machine has 2 GPUs (NVIDIA H200)");
  const LocalRunner bare{workspace_, {"/nonexistent"}, {.cores = 2}};
  EXPECT_EQ(bare.refusal({.gpus = 1}), "it takes 1 GPU, and this machine has none that nvidia-smi lists");
  EXPECT_EQ(runner_.at_a_time({.cores = 3, .gpus = 0}), 2);
  EXPECT_EQ(runner_.at_a_time({.gpus = 1, .gpu_memory = 30e9}), 6);
}

}  // namespace
}  // namespace mestre
