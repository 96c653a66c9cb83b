#include "store/database.h"

#include <sys/stat.h>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "core/base/error.h"
#include "store/store_test.h"

namespace mestre {
namespace {

ErrorCode code_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_FALSE(error.hints().empty()) << error.message();
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::kBug;
}

void run_sql(const fs::path& path, const std::string& sql) {
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &connection), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(connection);
  sqlite3_close(connection);
}

class DatabaseTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  fs::path path_ = folder_.path() / "mestre.db";
};

TEST_F(DatabaseTest, IsCreatedOnceAndOpensAgain) {
  { Database database = Database::open_for_writing(path_); }
  { Database database = Database::open_for_writing(path_); }
  Database database = Database::open_for_reading(path_);
  EXPECT_EQ(rows(database,
                 "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name)"),
            "attempts,curves,entropies,events,jobs,measurements,run_jobs,runs,sweeps\n");
  for (const char* view : {"runs", "run_jobs", "jobs", "attempts", "curves", "measurements", "entropies", "events"})
    EXPECT_EQ(rows(database, fmt::format("SELECT * FROM {}", view)), "") << view;
}

TEST_F(DatabaseTest, SaysWhatItIsToOtherTools) {
  { Database database = Database::open_for_writing(path_); }
  const std::string bytes = read_file(path_);
  EXPECT_EQ(bytes.substr(0, 15), "SQLite format 3");
  EXPECT_EQ(bytes.substr(68, 4), "Mstr");
  EXPECT_EQ(bytes.substr(60, 4), std::string("\0\0\0\1", 4));
}

TEST_F(DatabaseTest, OfANewerVersionIsRefusedAndUnchanged) {
  { Database database = Database::open_for_writing(path_); }
  run_sql(path_, "PRAGMA user_version = 2; CREATE TABLE of_the_future (x)");
  const std::string before = read_file(path_);
  EXPECT_EQ(code_of([&] { static_cast<void>(Database::open_for_writing(path_)); }), ErrorCode::kNewerVersion);
  EXPECT_EQ(code_of([&] { static_cast<void>(Database::open_for_reading(path_)); }), ErrorCode::kNewerVersion);
  EXPECT_EQ(read_file(path_), before);
}

TEST_F(DatabaseTest, OfSomethingElseIsRefusedAndUnchanged) {
  run_sql(path_, "CREATE TABLE recipes (name TEXT)");
  const std::string before = read_file(path_);
  EXPECT_EQ(code_of([&] { static_cast<void>(Database::open_for_writing(path_)); }), ErrorCode::kBadInput);
  EXPECT_EQ(code_of([&] { static_cast<void>(Database::open_for_reading(path_)); }), ErrorCode::kBadInput);
  EXPECT_EQ(read_file(path_), before);
}

TEST_F(DatabaseTest, ThatIsNoDatabaseIsRefusedAndUnchanged) {
  const std::string text(4096, 'x');
  replace_file(path_, text);
  EXPECT_EQ(code_of([&] { static_cast<void>(Database::open_for_writing(path_)); }), ErrorCode::kBadInput);
  EXPECT_EQ(code_of([&] { static_cast<void>(Database::open_for_reading(path_)); }), ErrorCode::kBadInput);
  EXPECT_EQ(read_file(path_), text);
}

TEST_F(DatabaseTest, ThatIsMissingIsNotMadeByReading) {
  EXPECT_EQ(code_of([&] { static_cast<void>(Database::open_for_reading(path_)); }), ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(DatabaseTest, WhoseCreationWasCutOffIsMadeAnew) {
  replace_file(path_, "");
  EXPECT_EQ(code_of([&] { static_cast<void>(Database::open_for_reading(path_)); }), ErrorCode::kNotFound);
  run_sql(path_, "PRAGMA journal_mode = WAL");  // the file has a head now, but no table
  EXPECT_EQ(code_of([&] { static_cast<void>(Database::open_for_reading(path_)); }), ErrorCode::kNotFound);
  { Database database = Database::open_for_writing(path_); }
  Database database = Database::open_for_reading(path_);
  EXPECT_EQ(rows(database, "SELECT count(*) FROM runs"), "0\n");
}

TEST_F(DatabaseTest, IsReadWhileItIsWritten) {
  Database writer = Database::open_for_writing(path_);
  Database reader = Database::open_for_reading(path_);
  EXPECT_EQ(rows(reader, "SELECT count(*) FROM jobs"), "0\n");
}

TEST(NetworkFileSystem, IsKnownByItsNumber) {
  EXPECT_EQ(network_file_system(0x6969), "NFS");
  EXPECT_EQ(network_file_system(static_cast<int>(0xFF534D42)), "CIFS");  // sign-extended where statfs has 32 bits
  EXPECT_EQ(network_file_system(0x0BD00BD0), "Lustre");
  EXPECT_EQ(network_file_system(0xEF53), "");      // ext4
  EXPECT_EQ(network_file_system(0x01021994), "");  // tmpfs
}

}  // namespace
}  // namespace mestre
