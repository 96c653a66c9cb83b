#include "core/data/packed.h"

#include <fcntl.h>
#include <unistd.h>

#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/data/test_folder.h"

namespace mestre {
namespace {

// A corpus of three files: tokens 0 … 9, 10 … 12, 13 … 29.
class PackedCorpusTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string all;
    std::int64_t next = 0;
    for (const std::int64_t count : {10, 3, 17}) {
      std::string bytes;
      for (std::int64_t i = 0; i < count; ++i, ++next) bytes += {static_cast<char>(next), '\0'};
      PackedFile file{.path = "part-" + std::to_string(manifest_.files.size()),
                      .bytes = 2 * count,
                      .tokens = count,
                      .digest = xxh3_128(bytes)};
      folder_.write(file.path, bytes);
      manifest_.files.push_back(std::move(file));
      all += bytes;
    }
    manifest_.identity = {.digest = xxh3_128(all), .tokenizer = "bytes", .tokenizer_version = 1, .vocabulary = 257};
    manifest_.tokens = next;
    manifest_.documents = 1;
    save();
  }

  void save() const { folder_.write("m", to_json(manifest_)); }
  [[nodiscard]] fs::path path() const { return folder_.path() / "m"; }

  // Verifies the corpus and returns the message of the error, which must be data_corrupt.
  [[nodiscard]] std::string complaint() const {
    try {
      PackedCorpus(path()).verify();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDataCorrupt);
      return error.message();
    }
    return "none";
  }

  TestFolder folder_;
  Manifest manifest_;
};

TEST_F(PackedCorpusTest, ReadsEveryRangeAcrossFiles) {
  const PackedCorpus corpus(path());
  ASSERT_EQ(corpus.tokens(), 30);
  corpus.verify();
  for (std::int64_t begin = 0; begin <= 30; ++begin)
    for (std::int64_t end = begin; end <= 30; ++end) {
      std::vector<std::int64_t> tokens(static_cast<std::size_t>(end - begin), -1);
      corpus.read(begin, tokens);
      std::vector<std::int64_t> expected(tokens.size());
      std::iota(expected.begin(), expected.end(), begin);
      ASSERT_EQ(tokens, expected) << begin << " to " << end;
    }
}

TEST_F(PackedCorpusTest, RefusesRangesOutside) {
  const PackedCorpus corpus(path());
  std::vector<std::int64_t> two(2);
  EXPECT_THROW(corpus.read(29, two), Error);
  EXPECT_THROW(corpus.read(-1, two), Error);
  EXPECT_THROW(corpus.read(31, {}), Error);
}

TEST_F(PackedCorpusTest, NamesAFileOfTheWrongSize) {
  ASSERT_EQ(::truncate((folder_.path() / "part-1").c_str(), 4), 0);
  EXPECT_EQ(complaint(), "'" + (folder_.path() / "part-1").native() + "' has 4 bytes, its manifest says 6");
}

TEST_F(PackedCorpusTest, NamesAFileWhoseBytesChanged) {
  folder_.write("part-1", std::string("\x0A\0\x0A\0\x0C\0", 6));
  EXPECT_EQ(complaint().rfind("'" + (folder_.path() / "part-1").native() + "' has the digest ", 0), 0U) << complaint();
}

TEST_F(PackedCorpusTest, NoticesFilesInTheWrongOrder) {
  std::swap(manifest_.files[0], manifest_.files[2]);
  save();
  EXPECT_EQ(complaint().rfind("'" + path().native() + "' has the digest ", 0), 0U) << complaint();
}

TEST_F(PackedCorpusTest, NoticesTokensBeyondTheVocabulary) {
  manifest_.identity.vocabulary = 29;
  save();
  EXPECT_EQ(complaint(), "'" + (folder_.path() / "part-2").native() + "' holds token 29, but its tokenizer has 29");
}

TEST_F(PackedCorpusTest, MissingFilesAreNotFound) {
  fs::remove(folder_.path() / "part-2");
  try {
    const PackedCorpus corpus(path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_NE(error.message().find("part-2"), std::string::npos);
  }
}

TEST_F(PackedCorpusTest, StaysWhatItWasWhenTheFilesAreReplaced) {
  const PackedCorpus corpus(path());
  folder_.write("part-0", std::string(20, '\x55'));
  std::vector<std::int64_t> tokens(3);
  corpus.read(0, tokens);
  EXPECT_EQ(tokens, (std::vector<std::int64_t>{0, 1, 2}));
}

}  // namespace
}  // namespace mestre
