#include "store/query.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "store/store_test.h"

namespace mestre {
namespace {

class QueryTest : public ::testing::Test {
 protected:
  QueryTest() {
    { Database created = Database::open_for_writing(path_); }
    database_.emplace(Database::open_for_reading(path_));
  }
  // What the query is refused with; empty where it is not.
  std::string refusal(std::string_view sql, const QueryLimits& limits = {}) {
    try {
      static_cast<void>(query_table(*database_, sql, {}, limits));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.message();
      return render(error);
    }
    return {};
  }

  TemporaryFolder folder_;
  fs::path path_ = folder_.path() / "mestre.db";
  std::optional<Database> database_;
};

TEST_F(QueryTest, GivesNamesAndTypedCells) {
  const QueryTable table =
      query_table(*database_, "SELECT 1 AS one, 2.5 AS half, 'text' AS words, NULL AS none, x'00ff' AS bytes");
  EXPECT_EQ(table.columns, (std::vector<std::string>{"one", "half", "words", "none", "bytes"}));
  ASSERT_EQ(table.rows.size(), 1U);
  EXPECT_EQ(table.rows[0], (std::vector<SqlValue>{std::int64_t{1}, 2.5, "text", std::monostate{}, "00ff"}));
}

TEST_F(QueryTest, BindsParameters) {
  const std::vector<SqlValue> values = {std::int64_t{2}, std::string("x'; DROP TABLE job; --"), 1.5, std::monostate{}};
  const QueryTable table = query_table(*database_, "SELECT ?1 * 2, ?2, ?3, ?4", values);
  EXPECT_EQ(table.rows[0], (std::vector<SqlValue>{std::int64_t{4}, "x'; DROP TABLE job; --", 1.5, std::monostate{}}));
  EXPECT_NE(refusal("SELECT ?1"), "");
}

TEST_F(QueryTest, AllowsEveryKindOfReading) {
  for (const char* sql :
       {"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n",
        "VALUES (1, 2)", "EXPLAIN QUERY PLAN SELECT * FROM curves WHERE job = 'x'", "SELECT * FROM runs;",
        "SELECT value FROM json_each('[1,2]') -- the end", "SELECT 1; /* nothing */ ;",
        "SELECT name, row_number() OVER (ORDER BY name) FROM sqlite_schema"})
    EXPECT_EQ(refusal(sql), "") << sql;
}

TEST_F(QueryTest, AllowsTableValuedFunctionsAsTheFirstQueryOfAConnection) {
  EXPECT_EQ(refusal("SELECT value FROM json_each('[1,2]')"), "");
}

TEST_F(QueryTest, RunsTheExamplesOfTheReadme) {
  const char* source = std::getenv("MESTRE_SOURCE");
  ASSERT_NE(source, nullptr) << "CTest sets it; by hand it is the root of the sources";
  const std::string readme = read_file(fs::path(source) / "store" / "README.md");
  const std::size_t start = readme.find("```sql") + 6;
  std::string_view examples = std::string_view(readme).substr(start, readme.find("```", start) - start);
  int count = 0;
  for (std::size_t end = examples.find(';'); end != std::string_view::npos; end = examples.find(';')) {
    EXPECT_EQ(refusal(examples.substr(0, end)), "");
    examples.remove_prefix(end + 1);
    ++count;
  }
  EXPECT_EQ(count, 6);
}

TEST_F(QueryTest, RefusesWhatIsNotReading) {
  const fs::path copy = folder_.path() / "copy.db";
  for (const std::string& sql : {std::string("DELETE FROM job"),
                                 std::string("INSERT INTO job_need VALUES (1, 1)"),
                                 std::string("UPDATE job SET state = 'done'"),
                                 std::string("CREATE TABLE t (x)"),
                                 std::string("CREATE TEMP TABLE t (x)"),
                                 std::string("CREATE TEMP VIEW v AS SELECT 1"),
                                 std::string("DROP VIEW runs"),
                                 "ATTACH '" + copy.native() + "' AS other",
                                 "VACUUM INTO '" + copy.native() + "'",
                                 std::string("VACUUM"),
                                 std::string("PRAGMA user_version = 9"),
                                 std::string("PRAGMA journal_mode"),
                                 std::string("SELECT * FROM pragma_user_version"),
                                 std::string("BEGIN"),
                                 std::string("SAVEPOINT s"),
                                 std::string("REINDEX"),
                                 std::string("ANALYZE"),
                                 std::string("SELECT load_extension('evil.so')"),
                                 std::string("EXPLAIN DELETE FROM job"),
                                 std::string("DELETE FROM job RETURNING id"),
                                 std::string("DETACH main"),
                                 std::string("CREATE VIRTUAL TABLE t USING fts5(x)")})
    EXPECT_NE(refusal(sql), "") << sql;
  EXPECT_FALSE(fs::exists(copy));
  EXPECT_EQ(rows(*database_, "SELECT count(*) FROM sqlite_temp_schema"), "0\n");
}

TEST_F(QueryTest, RefusesASecondStatement) {
  EXPECT_NE(refusal("SELECT 1; SELECT 2").find("second statement"), std::string::npos);
  EXPECT_NE(refusal("SELECT 1; DROP TABLE job").find("second statement"), std::string::npos);
  EXPECT_NE(refusal("SELECT 1 /* a */ ; -- b\n nonsense").find("second statement"), std::string::npos);
  EXPECT_NE(refusal(std::string_view("SELECT 1\0; DROP TABLE job", 25)).find("zero byte"), std::string::npos);
}

TEST_F(QueryTest, SaysWhereAMistakeIs) {
  EXPECT_EQ(refusal("SELECT labels\nFROM runs WHERE stat = 'done'"),
            "error: the query cannot be run: no such column: stat\n"
            "   FROM runs WHERE stat = 'done'\n"
            "                   ^\n");
  EXPECT_NE(refusal("SELEC 1").find("near \"SELEC\": syntax error"), std::string::npos);
  EXPECT_NE(refusal("").find("no statement"), std::string::npos);
  EXPECT_NE(refusal("-- only a comment").find("no statement"), std::string::npos);
  EXPECT_NE(refusal("SELECT * FROM runs WHERE json_extract('{', '$.x')").find("malformed JSON"), std::string::npos);
}

TEST_F(QueryTest, EndsAtTheLimitOfRows) {
  constexpr const char* kEndless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
  const QueryTable table = query_table(*database_, kEndless, {}, {.rows = 10});
  EXPECT_EQ(table.rows.size(), 10U);
  EXPECT_TRUE(table.truncated);
  EXPECT_FALSE(query_table(*database_, "VALUES (1), (2)", {}, {.rows = 2}).truncated);
}

TEST_F(QueryTest, EndsAtTheLimitOfTime) {
  constexpr const char* kEndless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_NE(refusal(kEndless, {.time = std::chrono::milliseconds(100)}).find("took longer"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_EQ(refusal("SELECT 1"), "") << "the limit of one query must not stay for the next";
}

TEST_F(QueryTest, EndsAtTheLimitOfSize) {
  EXPECT_NE(refusal("SELECT length(zeroblob(1000000000))").find("too big"), std::string::npos);
}

TEST_F(QueryTest, LeavesTheConnectionAsItWas) {
  Database writer = Database::open_for_writing(path_);
  static_cast<void>(query_table(writer, "SELECT 1"));
  EXPECT_THROW(static_cast<void>(query_table(writer, "DELETE FROM job")), Error);
  Database again = Database::open_for_writing(path_);
  EXPECT_EQ(rows(again, "SELECT count(*) FROM job"), "0\n");
}

}  // namespace
}  // namespace mestre
