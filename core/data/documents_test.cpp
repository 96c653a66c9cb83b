#include "core/data/documents.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/test_folder.h"

namespace mestre {
namespace {

std::vector<std::string> keys(const SourceList& list) {
  std::vector<std::string> names;
  for (const SourceFile& source : list.files) names.push_back(source.key);
  return names;
}

std::vector<std::string> sorted_keys(const SourceList& list) {
  std::vector<std::string> names = keys(list);
  std::sort(names.begin(), names.end());
  return names;
}

// Digests of prepared data stand in sweep files: where these numbers change, kDocumentOrderVersion must be raised.
TEST(PlaceSource, IsFrozen) {
  SourceFile source;
  place_source(source, "ATen/core/Tensor.h");
  EXPECT_EQ(source.place, 11690228219161213331U);
  EXPECT_DOUBLE_EQ(source.fraction, 0.34725571657415844);
}

TEST(PlaceSource, ReadsWhatAFileHoldsFromItsName) {
  SourceFile plain, compressed, lines, compressed_lines;
  place_source(plain, "a/b.txt");
  place_source(compressed, "a/b.txt.zst");
  place_source(lines, "a/b.jsonl");
  place_source(compressed_lines, "a/b.jsonl.zst");
  EXPECT_FALSE(plain.has_lines || plain.is_compressed || compressed.has_lines || lines.is_compressed);
  EXPECT_TRUE(compressed.is_compressed && lines.has_lines && compressed_lines.has_lines &&
              compressed_lines.is_compressed);
  // Compressing a corpus changes nothing of it.
  EXPECT_EQ(compressed.key, "a/b.txt");
  EXPECT_EQ(compressed.place, plain.place);
  EXPECT_EQ(compressed.fraction, plain.fraction);
  EXPECT_EQ(compressed_lines.key, lines.key);
  EXPECT_DOUBLE_EQ(fraction_of("a/b.jsonl:17"), 0.53973504196905131);
}

TEST(PlaceSource, HoldsOutAboutTheShareAskedFor) {
  int below = 0;
  for (int i = 0; i < 10000; ++i) {
    SourceFile source;
    place_source(source, "folder/file-" + std::to_string(i) + ".h");
    ASSERT_GE(source.fraction, 0);
    ASSERT_LT(source.fraction, 1);
    below += source.fraction < 0.02 ? 1 : 0;
  }
  EXPECT_NEAR(below, 200, 56);  // four standard deviations
}

class ListSources : public testing::Test {
 protected:
  [[nodiscard]] SourceList list(std::vector<std::string> include = {}) const {
    return list_sources({.inputs = {folder_.path()}, .include = std::move(include), .leave_out = {}});
  }
  TestFolder folder_;
};

TEST_F(ListSources, WalksFoldersAndPassesOverWhatIsNoDocument) {
  folder_.write("b/two.h", "2");
  folder_.write("a.h", "1");
  folder_.write("b/c/three.cpp", "3");
  folder_.write("b/empty.h", "");
  folder_.write(".git/config", "x");
  folder_.write("b/.hidden.h", "x");
  fs::create_symlink(folder_.path() / "a.h", folder_.path() / "link.h");
  fs::create_directory_symlink(folder_.path() / "b", folder_.path() / "linked");
  const SourceList all = list();
  EXPECT_EQ(sorted_keys(all), (std::vector<std::string>{"a.h", "b/c/three.cpp", "b/two.h"}));
  EXPECT_EQ(all.empty, 1);
  EXPECT_EQ(all.bytes, 3);
  EXPECT_TRUE(all.skipped.empty());
}

TEST_F(ListSources, MatchesPatternsAgainstNamesOrKeys) {
  for (const char* name : {"a.h", "b/two.h", "b/c/three.cpp", "b/c/four.h"}) folder_.write(name, "x");
  EXPECT_EQ(sorted_keys(list({"*.h"})), (std::vector<std::string>{"a.h", "b/c/four.h", "b/two.h"}));
  EXPECT_EQ(sorted_keys(list({"b/*.h"})), (std::vector<std::string>{"b/c/four.h", "b/two.h"}));
  EXPECT_EQ(sorted_keys(list({"*.cpp", "a.*"})), (std::vector<std::string>{"a.h", "b/c/three.cpp"}));
  EXPECT_TRUE(list({"*.md"}).files.empty());
}

// Neither the place of the folder nor other documents matter, and neighbours are separated.
TEST_F(ListSources, OrdersByTheHashOfTheKeyAlone) {
  for (int i = 0; i < 40; ++i) folder_.write("x/here/" + std::to_string(i), "x");
  for (int i = 0; i < 40; i += 2) folder_.write("y/elsewhere/here/" + std::to_string(i), "other");
  const auto all = keys(list_sources({.inputs = {folder_.path() / "x"}, .include = {}, .leave_out = {}}));
  const auto half = keys(list_sources({.inputs = {folder_.path() / "y/elsewhere"}, .include = {}, .leave_out = {}}));
  std::vector<std::string> expected;
  for (const std::string& key : all)
    if ((key.back() - '0') % 2 == 0) expected.push_back(key);
  EXPECT_EQ(half, expected);
  EXPECT_FALSE(std::is_sorted(all.begin(), all.end()));
}

TEST_F(ListSources, LeavesOutTheDataRoot) {
  folder_.write("a.h", "1");
  folder_.write("data/old/train.bin", "x");
  const SourceList found =
      list_sources({.inputs = {folder_.path()}, .include = {}, .leave_out = folder_.path() / "data"});
  EXPECT_EQ(keys(found), std::vector<std::string>{"a.h"});
}

TEST_F(ListSources, TakesFilesByTheirNames) {
  folder_.write("deep/a.txt", "1");
  const SourceList found =
      list_sources({.inputs = {folder_.path() / "deep/a.txt"}, .include = {"*.h"}, .leave_out = {}});
  EXPECT_EQ(keys(found), std::vector<std::string>{"a.txt"});
}

TEST_F(ListSources, RefusesInputsThatAreMissingOrOverlap) {
  folder_.write("a/b.h", "1");
  const auto message = [&](std::vector<fs::path> inputs) -> std::string {
    try {
      (void)list_sources({.inputs = std::move(inputs), .include = {}, .leave_out = {}});
    } catch (const Error& error) {
      return error.message();
    }
    return "none";
  };
  const std::string root = folder_.path().native();
  EXPECT_EQ(message({root + "/none"}), "cannot read '" + root + "/none': No such file or directory");
  EXPECT_EQ(message({root + "/a", root}), "the inputs overlap: '" + root + "/a' lies inside '" + root + "'");
  EXPECT_EQ(message({root, root}), "the inputs overlap: '" + root + "' lies inside '" + root + "'");
  EXPECT_EQ(message({"/dev/null"}), "'/dev/null' is neither a file nor a folder");
}

}  // namespace
}  // namespace mestre
