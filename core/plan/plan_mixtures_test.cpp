// Plans whose training text is a mixture.

#include <optional>
#include <string>

#include "core/data/manifest.h"
#include "core/plan/plan_test_sweep.h"

namespace mestre {
namespace {

class PlanMixtures : public testing::Test {
 protected:
  PlanMixtures() {
    corpus("web", '1', 1'000'000);
    corpus("code", '2', 20'000);
    mixture("even", 32'768);
    mixture("mostly-web", 58'982);
  }
  void corpus(const std::string& name, char digit, std::int64_t tokens) const {
    Manifest manifest;
    manifest.identity = {
        .digest = std::string(32, digit), .tokenizer = "bytes", .tokenizer_version = 1, .vocabulary = 257};
    manifest.tokens = tokens;
    manifest.documents = 1;
    manifest.files = {{.path = "train.bin", .bytes = 2 * tokens, .tokens = tokens, .digest = manifest.identity.digest}};
    write(name, manifest);
  }
  void mixture(const std::string& name, std::int64_t slots_of_web) const {
    Manifest manifest;
    manifest.identity = {.digest = "", .tokenizer = "bytes", .tokenizer_version = 1, .vocabulary = 257};
    manifest.tokens = 1'020'000;
    manifest.documents = 2;
    manifest.components = {
        {.path = "web/train.manifest", .digest = std::string(32, '1'), .tokens = 1'000'000, .slots = slots_of_web},
        {.path = "code/train.manifest",
         .digest = std::string(32, '2'),
         .tokens = 20'000,
         .slots = kMixtureSlots - slots_of_web}};
    manifest.identity.digest = mixture_digest(manifest.components);
    write(name, manifest);
  }
  void write(const std::string& name, const Manifest& manifest) const {
    const fs::path path = fs::path(folder_.context.data_root) / name / "train.manifest";
    fs::create_directories(path.parent_path());
    replace_file(path, to_json(manifest));
  }
  std::optional<Plan> plan(const std::string& rest, const std::string& validation = "text/validation.manifest") {
    return folder_.plan("[sweep]\nname = \"test\"\n" + std::string(kTestTrain) + "[data]\nvalidation = \"" +
                        validation + "\"\n" + kTestModel + rest);
  }

  static constexpr const char* kAxis =
      "[[axis]]\nname = \"text\"\ndata.train = [\"even/train.manifest\", \"mostly-web/train.manifest\", "
      "\"web/train.manifest\"]\n";
  SweepFolder folder_;
};

TEST_F(PlanMixtures, AreTextsLikeOthersOnAnAxis) {
  const std::optional<Plan> planned = plan(std::string(kAxis) + kTestEvaluation);
  ASSERT_TRUE(planned) << folder_.said;
  EXPECT_EQ(ids_of(*planned, "train").size(), 3U);
  EXPECT_EQ(ids_of(*planned, "evaluate").size(), 3U);
  EXPECT_EQ(planned->data.size(), 4U);
  const auto [path, components] = *planned->mixtures.begin();
  EXPECT_EQ(planned->mixtures.size(), 2U);
  EXPECT_EQ(path, "even/train.manifest");
  ASSERT_EQ(components.size(), 2U);
  EXPECT_EQ(components[1].path, "code/train.manifest");
  EXPECT_DOUBLE_EQ(components[1].share, 0.5);
  EXPECT_DOUBLE_EQ(components[1].times_read, 65'536 * 0.5 / 20'000);
  EXPECT_NE(plan_json(*planned).find(R"("mixtures":{"even/train.manifest":[{"path":"web/train.manifest","share":0.5)"),
            std::string::npos);
}

TEST_F(PlanMixtures, AreKnownByTheirSharesAlone) {
  const auto id = [&] { return *ids_of(*plan("[[axis]]\ndata.train = [\"even/train.manifest\"]\n"), "train").begin(); };
  const std::string even = id();
  fs::rename(fs::path(folder_.context.data_root) / "even", fs::path(folder_.context.data_root) / "old");
  mixture("even", 32'768);
  EXPECT_EQ(id(), even);
  mixture("even", 32'769);
  EXPECT_NE(id(), even);
}

TEST_F(PlanMixtures, AreNoTextToScore) {
  EXPECT_FALSE(plan(kAxis, "even/train.manifest"));
  EXPECT_NE(folder_.said.find("error: 'even/train.manifest' is a mixture, which only training reads"),
            std::string::npos)
      << folder_.said;
}

TEST_F(PlanMixtures, NeedTheCorporaThatTheyWereMadeOf) {
  corpus("code", '3', 20'000);
  EXPECT_FALSE(plan(kAxis));
  EXPECT_NE(folder_.said.find("was mixed of other data: 'code/train.manifest' has the digest " + std::string(32, '3') +
                              " and had " + std::string(32, '2')),
            std::string::npos)
      << folder_.said;
  fs::remove(fs::path(folder_.context.data_root) / "code/train.manifest");
  const std::optional<Plan> planned = plan(kAxis);
  ASSERT_TRUE(planned) << folder_.said;
  ASSERT_EQ(planned->missing.size(), 1U);
  EXPECT_EQ(planned->missing[0].path, "code/train.manifest");
}

TEST_F(PlanMixtures, NeedABlockOfEachCorpus) {
  EXPECT_FALSE(
      folder_.plan("[sweep]\nname = \"test\"\n[train]\ntokens = \"64Ki\"\nsequence_length = 20000\n"
                   "sequences_per_step = 1\n[data]\ntrain = \"even/train.manifest\"\n" +
                   std::string(kTestModel)));
  EXPECT_NE(folder_.said.find("'code/train.manifest' has 20,000 tokens, too few for a training block"),
            std::string::npos)
      << folder_.said;
}

}  // namespace
}  // namespace mestre
