#include "store/check.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "store/ingest.h"
#include "store/store_test.h"

namespace mestre {
namespace {

/// A store with one finished attempt of 25 steps (27 points) and one measurement.
class CheckTest : public ::testing::Test {
 protected:
  void SetUp() override {
    JournalWriter journal = job_.begin(1);
    journal.started(job_.id, 1, nullptr, 25);
    write_steps(journal, 1, 25);
    journal.finished({});
    Database database = Database::open_for_writing(workspace_.database());
    Ingester(database).ingest({{job_.folder}});
  }
  [[nodiscard]] StoreCheck check() const {
    Database database = Database::open_for_reading(workspace_.database());
    return check_store(database, workspace_);
  }
  [[nodiscard]] std::string problem() const {
    const StoreCheck found = check();
    EXPECT_EQ(found.problems.size(), 1U);
    return found.problems.empty() ? "" : found.problems.front();
  }
  void change_store(const std::string& sql) const {
    sqlite3* connection = nullptr;
    ASSERT_EQ(sqlite3_open(workspace_.database().c_str(), &connection), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(connection);
    sqlite3_close(connection);
  }

  TemporaryFolder folder_;
  Workspace workspace_{folder_.path()};
  TestJob job_ = make_job(workspace_, "a");
  fs::path journal_ = job_.journal(1);
};

TEST_F(CheckTest, CountsTheSameOnBothSides) {
  const StoreCheck found = check();
  EXPECT_EQ(found.problems, std::vector<std::string>{});
  EXPECT_EQ(found.attempts, 1);
  EXPECT_EQ(found.lines, 27);
  EXPECT_EQ(found.points, 27);
}

TEST_F(CheckTest, FindsALostPoint) {
  change_store("UPDATE curve_chunk SET count = count - 1 WHERE name = 'loss'");
  EXPECT_EQ(problem(), journal_.native() + ": it has 27 points to line 27, and the store 26");
}

TEST_F(CheckTest, FindsACursorThatIsNotTheJournals) {
  change_store("UPDATE attempt SET cursor_crc = 7");
  EXPECT_NE(problem().find("and checksum 7"), std::string::npos) << problem();
}

TEST_F(CheckTest, FindsAMeasurementThatNoJournalHas) {
  change_store(
      "INSERT INTO measurement (attempt_id, seq, t, name, unit, dtype, axes, details, data) "
      "VALUES (1, 99, 0, 'x', '', 'float64', '[]', '{}', '[]')");
  EXPECT_EQ(problem(), journal_.native() + ": it has 0 measurements to line 27, and the store 1");
}

TEST_F(CheckTest, FindsJournalsThatAreGoneOrCutOrChanged) {
  const std::string whole = read_file(journal_);
  std::string changed = whole;
  changed.at(whole.find("\"step\":7") + 7) = '8';
  replace_file(journal_, changed);
  EXPECT_NE(problem().find("; the store has it to line 27"), std::string::npos) << problem();
  replace_file(journal_, whole.substr(0, whole.size() / 2));
  EXPECT_NE(problem().find("is not there; the store has it to line 27"), std::string::npos) << problem();
  fs::remove(journal_);
  EXPECT_EQ(problem(), journal_.native() + ": is gone: the store could not be rebuilt");
}

TEST_F(CheckTest, FindsARowThatRefersToNothing) {
  change_store("DELETE FROM job");
  EXPECT_NE(problem().find("a row of 'attempt' refers to one of 'job'"), std::string::npos) << problem();
}

TEST_F(CheckTest, ABackupIsOneFileWithTheSameRows) {
  const fs::path copy = folder_.path() / "copy.db";
  {
    Database writer = Database::open_for_writing(workspace_.database());  // as while a coordinator works
    Database database = Database::open_for_reading(workspace_.database());
    back_up_store(database, copy);
    EXPECT_THROW(back_up_store(database, copy), Error);
    EXPECT_THROW(back_up_store(database, folder_.path() / "nowhere" / "copy.db"), Error);
  }
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_TRUE(entry.path().filename().native().find("copy") == std::string::npos || entry.path() == copy) << entry;
  Database original = Database::open_for_reading(workspace_.database());
  Database restored = Database::open_for_reading(copy);
  constexpr std::string_view kAll = "SELECT name, step, value, t FROM curves ORDER BY name, step";
  EXPECT_EQ(rows(restored, kAll), rows(original, kAll));
  EXPECT_EQ(check_store(restored, workspace_).problems, std::vector<std::string>{});
}

TEST_F(CheckTest, ABackupTakesUpWhereTheStoreStood) {
  JournalWriter journal = job_.begin(2);
  journal.started(job_.id, 2, nullptr, 25);
  write_steps(journal, 1, 10);
  const fs::path copy = folder_.path() / "copy.db";
  Database database = Database::open_for_writing(workspace_.database());
  Ingester(database).ingest({{job_.folder}});
  back_up_store(database, copy);
  write_steps(journal, 11, 25);
  journal.finished({});
  Database restored = Database::open_for_writing(copy);
  EXPECT_EQ(Ingester(restored).ingest({{job_.folder}}).points, 16);
  const StoreCheck found = check_store(restored, workspace_);
  EXPECT_EQ(found.problems, std::vector<std::string>{});
  EXPECT_EQ(found.points, 27 * 2);
}

}  // namespace
}  // namespace mestre
