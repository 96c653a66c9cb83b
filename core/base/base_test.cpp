#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/id_table.h"
#include "core/base/options.h"
#include "core/base/units.h"
#include "core/base/utf8.h"

namespace mestre {
namespace {

TEST(Units, ReadCountsWithDecimalAndBinarySuffixes) {
  EXPECT_EQ(parse_integer_quantity("500", Unit::kCount), 500);
  EXPECT_EQ(parse_integer_quantity("20B", Unit::kTokens), 20'000'000'000);
  EXPECT_EQ(parse_integer_quantity("4Ki", Unit::kTokens), 4096);
  EXPECT_EQ(parse_integer_quantity("1.5Ki", Unit::kTokens), 1536);
  EXPECT_EQ(parse_integer_quantity("1.3 M", Unit::kTokens), 1'300'000);
}

TEST(Units, RefuseWhatIsNoWholeNumber) {
  for (const char* text :
       {"", "K", "1.5", "0.3Ki", "1e300", "20 B B", "4k", "nan", "inf", "12 apples", "9007199254740993"})
    EXPECT_EQ(parse_integer_quantity(text, Unit::kCount), std::nullopt) << text;
}

TEST(Units, ReadTimesBytesAndGpuHoursOnlyWithTheirUnit) {
  EXPECT_EQ(parse_quantity("90s", Unit::kSeconds), 90);
  EXPECT_EQ(parse_quantity("1.5h", Unit::kSeconds), 5400);
  EXPECT_EQ(parse_quantity("2 d", Unit::kSeconds), 172800);
  EXPECT_EQ(parse_integer_quantity("8GiB", Unit::kBytes), std::int64_t{8} << 30);
  EXPECT_EQ(parse_quantity("2000 GPUh", Unit::kGpuHours), 2000);
  EXPECT_EQ(parse_quantity("36", Unit::kSeconds), std::nullopt);
  EXPECT_EQ(parse_quantity("36h", Unit::kBytes), std::nullopt);
  EXPECT_EQ(parse_quantity("5", Unit::kGpuHours), std::nullopt);
}

TEST(Units, WriteTheShortestTextThatReadsBack) {
  for (const double value : {4e-4, 1.0, 1e-5, 0.1, 1e300, 123456789.0, 2.0 / 3.0, -0.25})
    EXPECT_EQ(std::stod(shortest(value)), value);
  EXPECT_EQ(shortest(1.0), "1");
  EXPECT_EQ(shortest(0.0004), "0.0004");
}

TEST(Units, PrintForTables) {
  EXPECT_EQ(with_thousands(12960), "12,960");
  EXPECT_EQ(with_thousands(-1234567), "-1,234,567");
  EXPECT_EQ(with_thousands(12), "12");
  EXPECT_EQ(short_count(812288), "812K");
  EXPECT_EQ(short_count(1.3e9), "1.30B");
  EXPECT_EQ(short_bytes(41.2e6), "41 MB");
  EXPECT_EQ(short_duration(40), "0:40");
  EXPECT_EQ(short_duration(11105), "3:05:05");
  EXPECT_EQ(short_duration(183600), "2 d 3 h");
}

TEST(Hash, IsFrozen) {
  // Ids in users' folders: these must never change.
  EXPECT_EQ(xxh3_128(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(crc32("123456789"), 3421780262U);
  EXPECT_EQ(crc32("6789", crc32("12345")), 3421780262U);
}

TEST(Hash, StreamEqualsWhole) {
  Digester digester;
  std::string whole;
  for (int i = 0; i < 1000; ++i) {
    const std::string piece(static_cast<std::size_t>(i % 37), static_cast<char>(i));
    digester.update(piece);
    whole += piece;
  }
  EXPECT_EQ(digester.hex(), xxh3_128(whole));
}

TEST(Utf8, FollowsTheStandard) {
  EXPECT_EQ(first_code_point("é").value, U'é');
  EXPECT_EQ(first_code_point("\U0001F941").length, 4U);
  for (const char* bad : {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF"})
    EXPECT_EQ(first_code_point(bad).value, kInvalidUtf8) << escaped(bad);
}

TEST(Escaped, ShowsWhatATerminalWouldActOn) {
  EXPECT_EQ(escaped("a\nb\tc\x1b[0m"), "a\\nb\\tc\\x1b[0m");
  EXPECT_EQ(escaped("caf\xC3\xA9 \xFF"), "caf\xC3\xA9 \\xff");
  EXPECT_EQ(escaped("a\u202Eb"), "a\\u{202e}b");
}

TEST(Nearest, FindsSlipsOfTheFinger) {
  const std::vector<std::string> names = {"sequence_length", "sequences_per_step", "tokens", "learning_rate", "seed"};
  EXPECT_EQ(nearest("tokenz", names), "tokens");
  EXPECT_EQ(nearest("sede", names), "seed");
  EXPECT_EQ(nearest("Learning_Rate", names), "learning_rate");
  EXPECT_EQ(nearest("sequence_lenght", names), "sequence_length");
  EXPECT_EQ(nearest("length", names), "sequence_length");
  EXPECT_EQ(nearest("batch", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest(std::string(100000, 'x'), names), "");
}

TEST(ExpectedOneOf, IsShortAndSuggests) {
  EXPECT_EQ(expected_one_of("mambo", {"attention", "mamba"}),
            "expected one of 'attention', 'mamba'; did you mean 'mamba'?");
  EXPECT_EQ(expected_one_of("x", {"where"}), "expected 'where'");
  std::vector<std::string> many;
  for (int i = 0; i < 30; ++i) many.push_back("name" + std::to_string(i));
  EXPECT_TRUE(expected_one_of("q", many).ends_with("'name11' and 18 more"));
}

TEST(Diagnostics, AreShownInTheOrderOfTheFile) {
  Diagnostics diagnostics;
  const int file = diagnostics.add_file("a.toml", "first = 1\nsecond = \"é\tx\"\n");
  diagnostics.error({.file = file, .line = 2, .column = 10, .length = 5}, "no such thing", {"expected another"});
  diagnostics.add({.severity = Severity::kWarning,
                   .where = {.file = file, .line = 1, .column = 1, .length = 5},
                   .message = "odd",
                   .notes = {},
                   .also = {{file, 2, 1, 6}}});
  diagnostics.error({.file = file}, "nothing here");
  EXPECT_EQ(diagnostics.render(),
            "a.toml: error: nothing here\n"
            "a.toml:1:1: warning: odd\n"
            "    1 | first = 1\n"
            "      | ^^^^^\n"
            "a.toml:2:1: also here\n"
            "    2 | second = \"é x\"\n"
            "      | ^^^^^^\n"
            "a.toml:2:10: error: no such thing\n"
            "    2 | second = \"é x\"\n"
            "      |          ^^^^^\n"
            "   expected another\n"
            "2 errors, 1 warning; nothing was planned\n");
}

TEST(Diagnostics, KeepTheSameMessageAtTheSamePlaceOnce) {
  Diagnostics diagnostics;
  const int file = diagnostics.add_file("a.toml", "x\n");
  for (int i = 0; i < 3; ++i) diagnostics.error({.file = file, .line = 1, .column = 1}, "wrong");
  diagnostics.error({.file = file, .line = 1, .column = 1}, "wrong too");
  EXPECT_EQ(diagnostics.error_count(), 2);
}

TEST(Diagnostics, CutLongLinesAroundThePlace) {
  Diagnostics diagnostics;
  const int file = diagnostics.add_file("a.toml", std::string(500, 'a') + "HERE" + std::string(500, 'b'));
  diagnostics.error({.file = file, .line = 1, .column = 501, .length = 4}, "long");
  const std::string text = diagnostics.render();
  EXPECT_NE(text.find("aHEREb"), std::string::npos);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    EXPECT_LE(end - begin, 120U);
    begin = end + 1;
  }
  const std::size_t line = text.find("      | ");
  const std::size_t quote = text.find("    1 | ");
  EXPECT_EQ(text.find("HERE") - quote, text.find("^^^^") - line);
}

TEST(Diagnostics, SurvivePlacesOutsideTheText) {
  Diagnostics diagnostics;
  const int file = diagnostics.add_file("a.toml", "x\r\n");
  diagnostics.error({.file = file, .line = 99, .column = 7}, "beyond the end");
  diagnostics.error({.file = file, .line = 1, .column = 99}, "beyond the line");
  diagnostics.error({}, "nowhere");
  EXPECT_NE(diagnostics.render().find("3 errors"), std::string::npos);
  EXPECT_EQ(diagnostics.render().find('\r'), std::string::npos);
}

struct Sample final : Options {
  bool flag = true;
  std::int64_t count = 3;
  double rate = 4e-4;
  std::string text = "a\"b\n";
  std::vector<std::int64_t> numbers = {1, 2};
  std::vector<std::string> names = {"x"};
  std::int64_t later = 7;
  void describe(OptionVisitor& visitor) override {
    visitor.visit({.name = "text", .doc = ""}, text);
    visitor.visit({.name = "flag", .doc = ""}, flag);
    visitor.visit({.name = "count", .doc = ""}, count);
    visitor.visit({.name = "rate", .doc = ""}, rate);
    visitor.visit({.name = "numbers", .doc = ""}, numbers);
    visitor.visit({.name = "names", .doc = ""}, names);
    visitor.visit({.name = "later", .doc = "", .legacy = "7"}, later);
  }
};

TEST(CanonicalJson, SortsKeysAndLeavesLegacyOut) {
  Sample sample;
  EXPECT_EQ(canonical_json(sample),
            R"({"count":3,"flag":true,"names":["x"],"numbers":[1,2],"rate":0.0004,"text":"a\"b\n"})");
  sample.later = 8;
  EXPECT_NE(canonical_json(sample).find("\"later\":8"), std::string::npos);
}

TEST(CanonicalJson, RefusesWhatJsonCannotHold) {
  Sample sample;
  sample.rate = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW((void)canonical_json(sample), Error);
}

TEST(JsonString, IsAlwaysValid) {
  EXPECT_EQ(json_string("a\x01\xFF"), "\"a\\u0001\xEF\xBF\xBD\"");
  EXPECT_EQ(json_texts({}), "[]");
  EXPECT_EQ(json_texts({"a", "b\""}), "[\"a\",\"b\\\"\"]");
}

TEST(Errors, SayWhatAProgramMayActOn) {
  EXPECT_EQ(system_error(ENOSPC, "write", "/x").code(), ErrorCode::kDiskFull);
  EXPECT_EQ(system_error(ENOENT, "open", "/x").code(), ErrorCode::kNotFound);
  EXPECT_EQ(exit_status_of(ErrorCode::kBadInput), kExitBadInput);
  EXPECT_EQ(render(Error(ErrorCode::kIo, "it broke").hint("mend it")), "error: it broke\n   mend it\n");
}

TEST(IdTable, KeepsTheFirstNumberOfAnId) {
  IdTable table;
  EXPECT_FALSE(table.contains(xxh3_128("0")));
  for (const bool again : {false, true}) {
    for (std::size_t i = 0; i < 5000; ++i) {
      const auto [number, is_new] = table.try_emplace(xxh3_128(std::to_string(i)), again ? 7 : i);
      ASSERT_EQ(number, i);
      ASSERT_EQ(is_new, !again);
    }
  }
  EXPECT_EQ(table.size(), 5000U);
  EXPECT_TRUE(table.contains(xxh3_128("4999")));
  EXPECT_FALSE(table.contains(xxh3_128("5000")));
}

TEST(IdTable, TellsIdsApartThatShareASlot) {
  const std::string low(16, '0');
  IdTable table = {low + low, "1000000000000000" + low, low + "8000000000000000"};
  EXPECT_EQ(table.size(), 3U);
  EXPECT_TRUE(table.contains("1000000000000000" + low));
  EXPECT_FALSE(table.contains("2000000000000000" + low));
}

TEST(IdTable, TakesDigestsOnly) {
  IdTable table;
  for (const std::string& wrong : {std::string(), std::string(31, '0'), std::string(33, '0'), std::string(32, 'g'),
                                   std::string(16, '0') + "-000000000000000"}) {
    EXPECT_THROW(table.insert(wrong), Error) << wrong;
    EXPECT_FALSE(table.contains(wrong));
  }
}

}  // namespace
}  // namespace mestre
