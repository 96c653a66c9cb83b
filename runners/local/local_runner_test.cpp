#include "runners/local/local_runner.h"

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
  LocalRunner runner_{workspace_, {"/nonexistent"}, 2};
};

TEST_F(LocalRunnerTest, WatchesTheLockOfAWorkerThatSaysNothingOfItself) {
  ASSERT_TRUE(runner_.adopt(task_));
  EXPECT_EQ(runner_.free_slots(), 1);
  EXPECT_TRUE(runner_.wait(kMoment).empty());
  lock_.reset();
  const std::vector<EndedTask> ended = runner_.wait(kMoment);
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].job, task_.job);
  EXPECT_EQ(runner_.free_slots(), 2);
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

}  // namespace
}  // namespace mestre
