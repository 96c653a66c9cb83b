#include <unistd.h>

#include <cerrno>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/hash.h"
#include "core/base/options.h"
#include "core/base/units.h"

namespace mestre {
namespace {

TEST(Hash, FrozenDigests) {
  // The reference values of xxHash and zlib; ids and journals of users depend on them.
  EXPECT_EQ(xxh3_128(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(crc32("123456789"), 0xCBF43926U);
  EXPECT_EQ(crc32("6789", crc32("12345")), crc32("123456789"));
  Digester digester;
  digester.update("12345");
  digester.update("6789");
  EXPECT_EQ(digester.hex(), xxh3_128("123456789"));
  EXPECT_NE(random_token(), random_token());
}

TEST(Units, QuantitiesReadAsWritten) {
  EXPECT_EQ(parse_integer_quantity("20B", Unit::kTokens), 20'000'000'000);
  EXPECT_EQ(parse_integer_quantity("4Ki", Unit::kTokens), 4096);
  EXPECT_EQ(parse_integer_quantity("1.5K", Unit::kCount), 1500);
  EXPECT_EQ(parse_quantity("36h", Unit::kSeconds), 36 * 3600.0);
  EXPECT_EQ(parse_quantity("90 min", Unit::kSeconds), 5400.0);
  EXPECT_EQ(parse_quantity("8GiB", Unit::kBytes), 8.0 * 1024 * 1024 * 1024);
  EXPECT_EQ(parse_quantity("2000 GPUh", Unit::kGpuHours), 2000.0);
}

TEST(Units, WhatIsNoQuantityIsRefused) {
  EXPECT_FALSE(parse_quantity("90", Unit::kSeconds)) << "a time needs its unit";
  EXPECT_FALSE(parse_quantity("90x", Unit::kSeconds));
  EXPECT_FALSE(parse_quantity("", Unit::kCount));
  EXPECT_FALSE(parse_quantity("nan", Unit::kNone));
  EXPECT_FALSE(parse_integer_quantity("1.5", Unit::kCount));
  EXPECT_FALSE(parse_integer_quantity("99999999T", Unit::kTokens)) << "beyond what a double counts";
}

TEST(Units, NumbersForTables) {
  EXPECT_EQ(shortest(0.0004), "0.0004");
  EXPECT_EQ(shortest(1), "1");
  EXPECT_EQ(shortest(1e-8), "1e-08");
  EXPECT_EQ(shortest(-123456789.5), "-123456789.5");
  EXPECT_EQ(rounded(1234.5678), "1235");
  EXPECT_EQ(rounded(0.000123456), "0.0001235");
  EXPECT_EQ(with_thousands(12960), "12,960");
  EXPECT_EQ(with_thousands(-999), "-999");
  EXPECT_EQ(with_thousands(-1000), "-1,000");
  EXPECT_EQ(short_count(438'000'000), "438M");
  EXPECT_EQ(short_count(999'600), "1.00M");
  EXPECT_EQ(short_bytes(41e6), "41 MB");
  EXPECT_EQ(short_duration(40), "0:40");
  EXPECT_EQ(short_duration(3 * 3600 + 312), "3:05:12");
  EXPECT_EQ(short_duration(51 * 3600), "2 d 3 h");
}

TEST(Json, TextIsAlwaysValid) {
  EXPECT_EQ(json_string("a\"b\\\n\x01"), "\"a\\\"b\\\\\\n\\u0001\"");
  EXPECT_EQ(json_string("\xff\xc3\xa9"), "\"\xEF\xBF\xBD\xc3\xa9\"");
  EXPECT_EQ(json_string("\xed\xa0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"") << "a surrogate is no character";
}

TEST(Json, ObjectsComeOutSorted) {
  JsonObject object;
  object.number("b", std::int64_t{1}).text("a", "x");
  EXPECT_EQ(object.str(), R"({"a":"x","b":1})");
  object.boolean("a", true);
  EXPECT_THROW((void)object.str(), Error);
}

TEST(Files, ReplacementIsWholeAndLocksExclude) {
  std::string pattern = (fs::temp_directory_path() / "mestre-base-XXXXXX").native();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const fs::path folder = pattern;
  make_durable_folders(folder / "a" / "b");
  write_file_atomically(folder / "a" / "b" / "file", "one");
  write_file_atomically(folder / "a" / "b" / "file", "two");
  EXPECT_EQ(read_file(folder / "a" / "b" / "file"), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "a" / "b"), {}), 1) << "no temporary file stays";
  EXPECT_FALSE(read_file_if_exists(folder / "nothing"));
  EXPECT_THROW((void)read_file(folder / "nothing"), Error);
  {
    const auto lock = FileLock::try_acquire(folder / "lock");
    EXPECT_TRUE(lock);
    EXPECT_TRUE(FileLock::is_held(folder / "lock"));
    EXPECT_FALSE(FileLock::try_acquire(folder / "lock"));
  }
  EXPECT_FALSE(FileLock::is_held(folder / "lock"));
  fs::remove_all(folder);
}

TEST(Errors, ExitStatusAndText) {
  EXPECT_EQ(system_error(ENOSPC, "write", "x").code(), ErrorCode::kDiskFull);
  EXPECT_EQ(exit_status_of(ErrorCode::kBadInput), 2);
  EXPECT_EQ(exit_status_of(ErrorCode::kBusy), 3);
  EXPECT_EQ(exit_status_of(ErrorCode::kBug), 4);
  EXPECT_EQ(render(Error(ErrorCode::kNotFound, "no sweep 'a'").hint("did you mean 'b'?")),
            "error: no sweep 'a'\n   did you mean 'b'?\n");
}

}  // namespace
}  // namespace mestre
