#include "core/data/mix.h"

#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/test_corpus.h"
#include "core/data/test_folder.h"

namespace mestre {
namespace {

using Slots = std::vector<std::int64_t>;

TEST(SlotsOf, AreSharesOfThePeriodByLargestRemainders) {
  EXPECT_EQ(slots_of(std::vector{0.7, 0.3}), Slots({45'875, 19'661}));
  EXPECT_EQ(slots_of(std::vector{7.0, 3.0}), Slots({45'875, 19'661}));
  EXPECT_EQ(slots_of(std::vector{1.0, 1.0, 1.0}), Slots({21'846, 21'845, 21'845}));
  EXPECT_EQ(slots_of(std::vector{1e308, 1e308}), Slots({32'768, 32'768}));
  EXPECT_EQ(slots_of(std::vector{5e-324, 5e-324}), Slots({32'768, 32'768}));
  EXPECT_EQ(slots_of(std::vector{65'535.0, 1.0}), Slots({65'535, 1}));
  EXPECT_EQ(slots_of(std::vector{1.0, 1e-9}), Slots({65'536, 0}));
}

class Mix : public testing::Test {
 protected:
  Mix() {
    corpus("web", 1);
    corpus("code", 2);
    options_.root = folder_.path();
    options_.name = "mix";
    options_.parts = {{"web/train.manifest", 0.7}, {"code/train.manifest", 0.3}};
  }
  void corpus(const std::string& name, std::uint16_t token, std::int64_t vocabulary = 257) const {
    write_corpus(folder_.path() / name / "train.manifest", std::vector<std::uint16_t>(1000, token), vocabulary);
  }
  [[nodiscard]] std::string complaint() const {
    try {
      mix(options_);
    } catch (const Error& error) {
      EXPECT_FALSE(error.hints().empty());
      return error.message();
    }
    return "none";
  }

  TestFolder folder_;
  MixOptions options_;
};

TEST_F(Mix, IsAManifestThatReadsBack) {
  const Manifest mixture = mix(options_);
  EXPECT_EQ(mixture.tokens, 2000);
  EXPECT_EQ(mixture.documents, 2);
  EXPECT_EQ(mixture.identity.tokenizer, "bytes");
  EXPECT_EQ(to_json(read_manifest(folder_.path() / "mix/train.manifest")), to_json(mixture));
}

TEST_F(Mix, IsTheSameForTheSameSharesInAnyOrder) {
  const std::string digest = mix(options_).identity.digest;
  options_.parts = {{"code/train.manifest", 3}, {"./web/train.manifest", 7}};
  EXPECT_EQ(mix(options_).identity.digest, digest);
  options_.name = "other";
  options_.parts = {{"code/train.manifest", 3}, {"web/train.manifest", 8}};
  EXPECT_NE(mix(options_).identity.digest, digest);
}

TEST_F(Mix, ReplacesNothingUnasked) {
  const std::string digest = mix(options_).identity.digest;
  options_.parts[0].weight = 0.8;
  EXPECT_EQ(complaint(),
            "'" + (folder_.path() / "mix").native() + "' holds other data: this mixture differs from them");
  EXPECT_EQ(read_manifest(folder_.path() / "mix/train.manifest").identity.digest, digest);
  options_.force = true;
  EXPECT_NE(mix(options_).identity.digest, digest);
  options_.name = "web";
  EXPECT_EQ(complaint(), "the mixture would take the place of 'web/train.manifest'");
}

TEST_F(Mix, NamesWhatCannotBeMixed) {
  corpus("wide", 3, 300);
  corpus("copy", 1);
  mix(options_);
  options_.name = "new";
  const auto with = [&](const char* manifest, double weight) {
    options_.parts[1] = {manifest, weight};
    return complaint();
  };
  EXPECT_EQ(with("wide/train.manifest", 0.3),
            "'wide/train.manifest' is in the tokenizer 'bytes', version 1, and 'web/train.manifest' in 'bytes', 1");
  EXPECT_EQ(with("copy/train.manifest", 0.3), "'web/train.manifest' and 'copy/train.manifest' hold the same text");
  EXPECT_EQ(with("web/train.manifest", 0.3), "'web/train.manifest' is named twice");
  EXPECT_EQ(with("mix/train.manifest", 0.3), "'mix/train.manifest' is itself a mixture");
  EXPECT_EQ(with("../web/train.manifest", 0.3), "'../web/train.manifest' is outside the data root");
  EXPECT_EQ(with("none/train.manifest", 0.3),
            "no manifest at '" + (folder_.path() / "none/train.manifest").native() + "'");
  EXPECT_EQ(with("code/train.manifest", 0), "the weight of 'code/train.manifest' is 0");
  EXPECT_EQ(with("code/train.manifest", -1), "the weight of 'code/train.manifest' is -1");
  EXPECT_EQ(with("code/train.manifest", 1e-6),
            "the weight of 'code/train.manifest' is too small beside the others: 0.000001");
  options_.parts.pop_back();
  EXPECT_EQ(complaint(), "a mixture needs at least two corpora");
  EXPECT_FALSE(fs::exists(folder_.path() / "new"));
}

}  // namespace
}  // namespace mestre
