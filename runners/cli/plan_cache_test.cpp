#include "runners/cli/plan_cache.h"

#include <stdlib.h>

#include <gtest/gtest.h>

namespace mestre {
namespace {

class PlanCacheTest : public testing::Test {
 protected:
  PlanCacheTest() {
    std::string name = (fs::temp_directory_path() / "mestre-cache-XXXXXX").native();
    folder_ = ::mkdtemp(name.data());
    replace_file(input(), "one");
    age(input());
  }
  ~PlanCacheTest() override { fs::remove_all(folder_); }
  [[nodiscard]] fs::path input() const { return folder_ / "sweep.toml"; }
  [[nodiscard]] fs::path store() const { return folder_ / "mestre.db"; }
  [[nodiscard]] PlanCache cache(std::string_view question = "q") const { return {folder_ / "cache", question}; }
  // As if it had been written a minute ago.
  static void age(const fs::path& path) {
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::minutes(1));
  }
  void keep() const {
    const PlanInputs inputs{.texts = {input().native(), (folder_ / "absent").native()}, .stores = {store().native()}};
    cache().keep({.out = "table\n", .err = "warning\n"}, inputs, now_seconds());
  }
  [[nodiscard]] fs::path entry() const { return fs::directory_iterator(folder_ / "cache")->path(); }

  fs::path folder_;
};

TEST_F(PlanCacheTest, AnswersTheSameQuestionAboutTheSameFiles) {
  EXPECT_FALSE(cache().find());
  keep();
  const std::optional<Printed> found = cache().find();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->out, "table\n");
  EXPECT_EQ(found->err, "warning\n");
  EXPECT_FALSE(cache("another").find());
}

TEST_F(PlanCacheTest, NoticesNewContentsAndNotNewTimes) {
  keep();
  fs::last_write_time(input(), fs::file_time_type::clock::now());
  EXPECT_TRUE(cache().find());
  replace_file(input(), "two");
  age(input());
  EXPECT_FALSE(cache().find());
}

TEST_F(PlanCacheTest, NoticesAFileThatAppears) {
  keep();
  replace_file(folder_ / "absent", "");
  EXPECT_FALSE(cache().find());
}

TEST_F(PlanCacheTest, NoticesAChangeOfTheStore) {
  replace_file(store(), "pages");
  age(store());
  keep();
  EXPECT_TRUE(cache().find());
  replace_file(store(), "other");
  EXPECT_FALSE(cache().find());
}

TEST_F(PlanCacheTest, KeepsNothingThatChangedMeanwhile) {
  replace_file(input(), "written while we planned");
  keep();
  EXPECT_FALSE(fs::exists(folder_ / "cache"));
}

TEST_F(PlanCacheTest, TrustsNoDamagedEntry) {
  keep();
  const std::string whole = read_file(entry());
  const fs::path file = entry();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    replace_file(file, damaged);
    EXPECT_FALSE(cache().find()) << at;
    replace_file(file, whole.substr(0, at));
    EXPECT_FALSE(cache().find()) << at;
  }
}

TEST_F(PlanCacheTest, ForgetsTheOldest) {
  for (int i = 0; i < 100; ++i)
    cache(std::to_string(i)).keep({.out = "x", .err = {}}, {.texts = {input().native()}, .stores = {}}, now_seconds());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "cache"), fs::directory_iterator()), 64);
}

}  // namespace
}  // namespace mestre
