#include "core/data/tinyllama.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/test_folder.h"

namespace mestre {
namespace {

class TinyLlamaTest : public testing::Test {
 protected:
  TinyLlamaTest() {
    import_.root = folder_.path() / "data";
    import_.name = "back";
    import_.inputs = {folder_.path() / "out"};
    import_.tokenizer = "bytes";
  }

  // A corpus of `count` documents, whose text has no two tokens in a row that are equal.
  [[nodiscard]] PackedCorpus corpus(int count) const {
    for (int i = 0; i < count; ++i) folder_.write("in/" + std::to_string(i), "document " + std::to_string(i));
    PrepareOptions options;
    options.root = import_.root;
    options.name = "made";
    options.inputs = {folder_.path() / "in"};
    (void)prepare(options);
    return PackedCorpus(import_.root / "made/train.manifest");
  }
  [[nodiscard]] std::string complaint() const {
    try {
      (void)import_tinyllama(import_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.message();
    }
    return "none";
  }

  TestFolder folder_;
  TinyLlamaImport import_;
};

TEST_F(TinyLlamaTest, WritesTheFormat) {
  folder_.write("in/a", "xy");
  const PackedCorpus small = corpus(0);
  const TinyLlamaExport report = export_tinyllama(small, folder_.path() / "out", "train", 5);
  EXPECT_EQ(report.files, 1);
  EXPECT_EQ(report.tokens, 3);
  EXPECT_EQ(report.filling, 2);
  using namespace std::string_literals;
  EXPECT_EQ(read_file(folder_.path() / "out/train_0000000000.bin"),
            "LITPKDS\1\0\0\0\0\0\0\0\x08\5\0\0\0\0\0\0\0\0\1x\0y\0\0\1\0\1"s);
  EXPECT_THROW((void)export_tinyllama(small, folder_.path() / "out", "train", 5), Error) << "it is there already";
  EXPECT_THROW((void)export_tinyllama(small, folder_.path() / "other", "train", 0), Error);
}

TEST_F(TinyLlamaTest, ComesBackAsItWent) {
  const PackedCorpus made = corpus(100);
  // Files that end anywhere, among them at the end of the corpus and right behind the begin of a document.
  for (const std::int64_t chunk :
       {std::int64_t{1}, std::int64_t{7}, std::int64_t{12}, made.tokens(), kTinyLlamaChunk}) {
    fs::remove_all(folder_.path() / "out");
    const TinyLlamaExport report = export_tinyllama(made, folder_.path() / "out/", "train", chunk);
    EXPECT_EQ(report.files, (made.tokens() + chunk - 1) / chunk);
    const Manifest manifest = import_tinyllama(import_);
    EXPECT_EQ(manifest.identity.digest, made.manifest().identity.digest) << chunk;
    EXPECT_EQ(manifest.documents, 100);
    EXPECT_EQ(manifest.tokens, made.tokens());
    PackedCorpus(import_.root / "back/train.manifest").verify();
  }
}

TEST_F(TinyLlamaTest, ReadsWideTokensAndSeveralSeries) {
  using namespace std::string_literals;
  const std::string wide = "LITPKDS\1\0\0\0\0\0\0\0\x04\3\0\0\0\0\0\0\0\0\1\0\0a\0\0\0\0\1\0\0"s;
  folder_.write("out/a_0.bin", wide);
  folder_.write("out/b_0.bin", wide);
  folder_.write("out/b_1.bin", wide);
  const Manifest manifest = import_tinyllama(import_);
  EXPECT_EQ(manifest.tokens, 2 + 3 + 2);
  EXPECT_EQ(manifest.documents, 4) << "the filling of a_0 and b_1 is none, but b_0 is carried on by b_1";
}

TEST_F(TinyLlamaTest, RefusesWhatIsNotThatFormat) {
  using namespace std::string_literals;
  const fs::path file = folder_.path() / "out/a_0.bin";
  const auto with = [&](const std::string& bytes) {
    folder_.write(file, bytes);
    return complaint();
  };
  const std::string no = "'" + file.native() + "' is no packed file of TinyLlama: ";
  EXPECT_EQ(with("short"), no + "it begins otherwise");
  EXPECT_EQ(with("LITPKDX\1\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\0"s), no + "it begins otherwise");
  EXPECT_EQ(with("LITPKDS\2\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\0"s), no + "it has version 2");
  EXPECT_EQ(with("LITPKDS\1\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0"s), no + "its tokens are of type 5");
  EXPECT_EQ(with("LITPKDS\1\0\0\0\0\0\0\0\x08\2\0\0\0\0\0\0\0a\0"s), no + "it has 2 bytes for 2 tokens");
  EXPECT_EQ(with("LITPKDS\1\0\0\0\0\0\0\0\x08\1\0\0\0\0\0\0\0\1\1"s),
            "'" + file.native() + "' holds token 257, but the tokenizer has 257");
  EXPECT_EQ(with("LITPKDS\1\0\0\0\0\0\0\0\x04\1\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF"s),
            "'" + file.native() + "' holds token -1, but the tokenizer has 257");
  EXPECT_EQ(with("LITPKDS\1\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\0"s), "the files hold no tokens");
  fs::remove(file);
  EXPECT_EQ(complaint(), "there is no *.bin to import");
}

TEST_F(TinyLlamaTest, ReplacesOtherDataOnlyWhenForced) {
  const PackedCorpus made = corpus(3);
  (void)export_tinyllama(made, folder_.path() / "out", "train", 50);
  (void)import_tinyllama(import_);
  EXPECT_EQ(complaint(), "none") << "the same again";
  import_.name = "made";
  import_.inputs = {folder_.path() / "other"};
  using namespace std::string_literals;
  folder_.write("other/a_0.bin", "LITPKDS\1\0\0\0\0\0\0\0\x08\2\0\0\0\0\0\0\0\0\1a\0"s);
  EXPECT_NE(complaint().find("holds other data"), std::string::npos) << complaint();
  import_.force = true;
  EXPECT_EQ(complaint(), "none");
}

}  // namespace
}  // namespace mestre
