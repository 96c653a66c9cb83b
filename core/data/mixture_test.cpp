#include "core/data/mixture.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/test_corpus.h"
#include "core/data/test_folder.h"
#include "core/data/training_text.h"

namespace mestre {
namespace {

std::vector<MixtureComponent> components(const std::vector<std::int64_t>& slots) {
  std::vector<MixtureComponent> list;
  for (std::size_t i = 0; i < slots.size(); ++i)
    list.push_back(
        {.path = "c", .digest = std::string(32, static_cast<char>('a' + i)), .tokens = 1, .slots = slots[i]});
  return list;
}

using Places = std::vector<std::pair<std::size_t, std::int64_t>>;  // component, index

Places places(const MixtureOrder& order, std::int64_t first, std::int64_t count) {
  Places list;
  for (std::int64_t s = first; s < first + count; ++s)
    list.emplace_back(order.place(s).component, order.place(s).index);
  return list;
}

// Shares are exact over any 65,536 sequences, wherever they begin, and the sequences of a component are counted
// through.
TEST(MixtureOrder, GivesEachComponentItsSlotsInTheirOrder) {
  const std::vector<std::int64_t> slots = {45'875, 19'000, 660, 1};
  for (const std::int64_t seed : {0, 3407, -1}) {
    const MixtureOrder order(components(slots), seed);
    std::vector<std::int64_t> given(slots.size()), early;
    for (std::int64_t s = 0; s < 3 * kMixtureSlots; ++s) {
      const MixtureOrder::Place place = order.place(s);
      ASSERT_EQ(place.index, given.at(place.component)++);
      if (s == 12'345) early = given;
      if (s != 12'345 + kMixtureSlots) continue;
      for (std::size_t i = 0; i < slots.size(); ++i) EXPECT_EQ(given[i] - early[i], slots[i]);
    }
    for (std::size_t i = 0; i < slots.size(); ++i) EXPECT_EQ(given[i], 3 * slots[i]);
  }
}

// Not only in the long run: of any stretch of a run, from one step to all of it, each has its share.
TEST(MixtureOrder, KeepsTheSharesInEveryStretch) {
  const std::vector<std::int64_t> slots = {32'768, 22'938, 9'000, 820, 10};
  const MixtureOrder order(components(slots), 3407);
  for (std::size_t component = 0; component < slots.size(); ++component) {
    const double share = static_cast<double>(slots[component]) / static_cast<double>(kMixtureSlots);
    std::vector<std::int64_t> before = {0};
    for (std::int64_t s = 0; s < 2 * kMixtureSlots; ++s)
      before.push_back(before.back() + (order.place(s).component == component ? 1 : 0));
    for (const std::int64_t length : {4, 64, 512, 2048, 5000, 40'000}) {
      double furthest = 0;
      for (std::size_t s = 0; s < static_cast<std::size_t>(kMixtureSlots); ++s)
        furthest =
            std::max(furthest, std::abs(static_cast<double>(before[s + static_cast<std::size_t>(length)] - before[s]) -
                                        share * static_cast<double>(length)));
      EXPECT_LT(furthest, 6) << "component " << component << ", " << length << " sequences";
    }
  }
}

// The order is part of a mixture's digest, so of jobs: where these vectors change, so must the text of mixture_digest.
TEST(MixtureOrder, IsFrozen) {
  const MixtureOrder order(components({45'875, 19'661}), 3407);
  EXPECT_EQ(places(order, 0, 8), (Places{{0, 0}, {1, 0}, {0, 1}, {0, 2}, {1, 1}, {0, 3}, {0, 4}, {0, 5}}));
  EXPECT_EQ(places(order, 10 * kMixtureSlots - 1, 3), (Places{{0, 458'749}, {0, 458'750}, {1, 196'610}}));
  EXPECT_EQ(places(MixtureOrder(components({45'875, 19'661}), 3408), 0, 4), (Places{{1, 0}, {0, 0}, {0, 1}, {1, 1}}));
  EXPECT_EQ(component_seed(3407, "00112233445566778899aabbccddeeff"), -3052581818985490700);
  EXPECT_EQ(mixture_digest(components({45'875, 19'661})), "f2a69efdeace7ca666a286f67013b585");
}

class MixedText : public testing::Test {
 protected:
  MixedText() {
    mixture_.identity = {.digest = "", .tokenizer = "bytes", .tokenizer_version = 1, .vocabulary = 257};
    mixture_.documents = 2;
    add("web", 1000, 49'152);
    add("code", 100, 16'384);
    save();
  }
  void add(const std::string& name, std::uint16_t tokens, std::int64_t slots) {
    std::vector<std::uint16_t> text(tokens);
    for (std::uint16_t i = 0; i < tokens; ++i) text[i] = static_cast<std::uint16_t>((i + slots) % 257);
    const Manifest corpus = write_corpus(folder_.path() / (name + "/train.manifest"), text);
    mixture_.components.push_back(
        {.path = name + "/train.manifest", .digest = corpus.identity.digest, .tokens = tokens, .slots = slots});
    mixture_.tokens += tokens;
  }
  void save() {
    auto& list = mixture_.components;
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.digest < b.digest; });
    mixture_.identity.digest = mixture_digest(list);
    folder_.write("mix/train.manifest", to_json(mixture_));
  }
  [[nodiscard]] TrainingText open(const std::string& name) const {
    return {folder_.path() / name / "train.manifest", folder_.path()};
  }
  [[nodiscard]] std::size_t index_of(const std::string& name) const {
    const auto& list = mixture_.components;
    return static_cast<std::size_t>(
        std::find_if(list.begin(), list.end(),
                     [&](const auto& each) { return each.path == name + "/train.manifest"; }) -
        list.begin());
  }

  TestFolder folder_;
  Manifest mixture_;
};

TEST_F(MixedText, ReadsAllBlocksOfACorpusBeforeOneAgain) {
  const TextOrder order(open("mix"), 9, 3407);
  std::vector<std::vector<std::int64_t>> begins(2);
  for (std::int64_t s = 0; s < 400; ++s) {
    const TextOrder::Block block = order.block(s);
    begins[block.corpus].push_back(block.begin);
  }
  std::vector<std::int64_t>& code = begins[index_of("code")];  // ten blocks, a hundred times read
  ASSERT_NEAR(static_cast<double>(code.size()), 100, 4);
  for (std::size_t epoch = 0; epoch + 10 <= code.size(); epoch += 10) {
    std::vector<std::int64_t> one(code.begin() + static_cast<std::ptrdiff_t>(epoch),
                                  code.begin() + static_cast<std::ptrdiff_t>(epoch + 10));
    std::sort(one.begin(), one.end());
    EXPECT_EQ(one, (std::vector<std::int64_t>{0, 10, 20, 30, 40, 50, 60, 70, 80, 90}));
  }
}

// A cell with another mixture reads the same blocks of each corpus, sooner or later.
TEST_F(MixedText, ReadsACorpusInTheSameOrderInEveryMixture) {
  const auto blocks_of_web = [&] {
    const TextOrder order(open("mix"), 9, 3407);
    std::vector<std::int64_t> begins;
    for (std::int64_t s = 0; begins.size() < 200; ++s)
      if (const TextOrder::Block block = order.block(s); block.corpus == index_of("web")) begins.push_back(block.begin);
    return begins;
  };
  const std::vector<std::int64_t> before = blocks_of_web();
  for (MixtureComponent& component : mixture_.components) component.slots = kMixtureSlots / 4;
  add("math", 500, kMixtureSlots / 2);
  save();
  EXPECT_EQ(blocks_of_web(), before);
}

TEST_F(MixedText, LeavesTheOrderOfACorpusAsItIs) {
  const TextOrder order(open("web"), 9, 3407);
  const BlockSampler sampler(1000, 9, 3407);
  for (std::int64_t s = 0; s < 250; ++s)
    ASSERT_EQ(order.block(s), (TextOrder::Block{.corpus = 0, .begin = sampler.begin(s)}));
}

TEST_F(MixedText, IsNotReadWhereACorpusIsAnother) {
  const std::string path = folder_.path() / "mix/train.manifest";
  const std::string had = mixture_.components[index_of("code")].digest;
  const Manifest other = write_corpus(folder_.path() / "code/train.manifest", std::vector<std::uint16_t>(100, 7));
  try {
    (void)open("mix");
    FAIL() << "the corpus was replaced";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDataCorrupt);
    EXPECT_EQ(error.message(), "'" + path + "' was mixed of other data: 'code/train.manifest' has the digest " +
                                   other.identity.digest + " and had " + had);
  }
}

TEST_F(MixedText, IsRefusedWhereOneCorpusIsMeant) {
  try {
    const PackedCorpus corpus(folder_.path() / "mix/train.manifest");
    FAIL() << "a mixture has no tokens of its own";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_TRUE(error.message().ends_with("is a mixture, which only training reads")) << error.message();
  }
}

TEST_F(MixedText, SaysWhichCorpusIsTooShort) {
  try {
    const TextOrder order(open("mix"), 100, 3407);
    FAIL() << "code has 100 tokens";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_EQ(error.hints().back(), "or leave 'code/train.manifest' out of the mixture");
  }
}

}  // namespace
}  // namespace mestre
