// What a training reads, at once and ahead of its steps.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/test_corpus.h"
#include "core/data/test_folder.h"
#include "core/train/job_context.h"
#include "core/train/prefetch.h"

namespace mestre {
namespace {

constexpr std::int64_t kLength = 7, kBlocks = 50;

class BatchesTest : public testing::Test {
 protected:
  BatchesTest() {
    options_.sequence_length = kLength;
    options_.sequences_per_step = 5;
    options_.tokens = 30 * options_.tokens_per_step();  // three epochs
    for (std::int64_t i = 0; i < kBlocks * (kLength + 1); ++i) tokens_.push_back(static_cast<std::uint16_t>(i % 251));
  }

  TrainingText text() {
    write_corpus(folder_.path() / "text.manifest", tokens_);
    return {folder_.path() / "text.manifest", folder_.path()};
  }
  static void expect_same(const Batch& batch, const Batch& other) {
    EXPECT_TRUE(batch.tokens.equal(other.tokens));
    EXPECT_TRUE(batch.targets.equal(other.targets));
  }

  TestFolder folder_;
  TrainOptions options_;
  std::vector<std::uint16_t> tokens_;
};

TEST_F(BatchesTest, AreBlocksWithTheirTargetsOneTokenFurther) {
  const Batches batches(text(), options_);
  const BlockSampler sampler(static_cast<std::int64_t>(tokens_.size()), kLength, options_.seed_data);
  const Batch batch = batches.read(48, 4);
  ASSERT_EQ(batch.tokens.sizes(), at::IntArrayRef({4, kLength}));
  ASSERT_EQ(batch.targets.sizes(), at::IntArrayRef({4, kLength}));
  for (std::int64_t row = 0; row < 4; ++row) {
    for (std::int64_t i = 0; i < kLength; ++i) {
      const std::int64_t at = sampler.begin(48 + row) + i;
      EXPECT_EQ(batch.tokens[row][i].item<std::int64_t>(), at % 251);
      EXPECT_EQ(batch.targets[row][i].item<std::int64_t>(), (at + 1) % 251);
    }
  }
}

TEST_F(BatchesTest, AreTheSameWhenReadAhead) {
  const Batches batches(text(), options_);
  for (const std::int64_t micro_batch : {1, 2, 3, 5}) {
    BatchReader reader(text(), options_);
    for (std::int64_t step = 0; step < options_.steps(); ++step) {
      for (std::int64_t done = 0; done < 5; done += micro_batch) {
        const std::int64_t first = 5 * step + done, count = std::min(micro_batch, 5 - done);
        expect_same(reader.read(first, count), batches.read(first, count));
      }
    }
  }
}

TEST_F(BatchesTest, AreTheSameInAnyOtherOrder) {
  const Batches batches(text(), options_);
  BatchReader reader(text(), options_);
  for (const auto& [first, count] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {100, 2}, {0, 2}, {0, 2}, {2, 1}, {2, 2}, {4, 1}, {140, 5}, {145, 5}, {150, 5}, {3, 4}})
    expect_same(reader.read(first, count), batches.read(first, count));
}

// The error belongs to the batch that cannot be read: neither to the one before nor to the one after.
TEST_F(BatchesTest, ThatCannotBeReadSayWhyWhenTheyAreAskedFor) {
  const auto blocks = static_cast<std::int64_t>(tokens_.size());
  tokens_[static_cast<std::size_t>(BlockSampler(blocks, kLength, options_.seed_data).begin(6) + kLength)] = 300;
  const Batches batches(text(), options_);
  BatchReader reader(text(), options_);
  expect_same(reader.read(0, 3), batches.read(0, 3));
  expect_same(reader.read(3, 2), batches.read(3, 2));
  try {
    (void)reader.read(5, 3);
    FAIL() << "block 6 holds a token that no tokenizer made";
  } catch (const JobFailure& failure) {
    EXPECT_EQ(failure.cause(), Cause::kData);
    EXPECT_STREQ(failure.what(), "the text holds token 300, but its manifest knows 257 tokens");
  }
  EXPECT_THROW((void)reader.read(5, 3), JobFailure);
  expect_same(reader.read(8, 2), batches.read(8, 2));
}

TEST_F(BatchesTest, NeedNotBeTaken) {
  for (int i = 0; i < 20; ++i) {
    std::optional<BatchReader> reader(std::in_place, text(), options_);
    if (i % 2 == 0) (void)reader->read(i, 5);
  }
}

// A mixture, half and half, of a text of tokens below 100 and one of tokens from 100 on.
class MixedBatchesTest : public BatchesTest {
 protected:
  MixedBatchesTest() {
    for (const std::uint16_t base : {0, 100}) {
      std::vector<std::uint16_t> tokens(400);
      for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::uint16_t>(base + i % 100);
      const std::string path = base == 0 ? "low/train.manifest" : "high/train.manifest";
      const Manifest corpus = write_corpus(folder_.path() / path, tokens);
      mixture_.components.push_back(
          {.path = path, .digest = corpus.identity.digest, .tokens = 400, .slots = kMixtureSlots / 2});
    }
    std::sort(mixture_.components.begin(), mixture_.components.end(),
              [](const auto& a, const auto& b) { return a.digest < b.digest; });
    mixture_.identity = {.digest = mixture_digest(mixture_.components), .tokenizer = "bytes", .vocabulary = 257};
    mixture_.tokens = 800;
    mixture_.documents = 2;
    folder_.write("mix/train.manifest", to_json(mixture_));
    launch_.data_root = folder_.path();
    launch_.data = "mix/train.manifest";
  }

  Manifest mixture_;
  Launch launch_;
};

TEST_F(MixedBatchesTest, ComeFromAllOfTheCorpora) {
  const Batches batches(open_text(launch_, mixture_.identity), options_);
  BatchReader reader(open_text(launch_, mixture_.identity), options_);
  for (std::int64_t first = 0; first < 150; first += 5) {
    const Batch batch = reader.read(first, 5);
    expect_same(batch, batches.read(first, 5));
    const auto high = batch.tokens.ge(100);
    EXPECT_TRUE(high.all(1).eq(high.any(1)).all().item<bool>()) << "a sequence of two texts";
    EXPECT_NEAR(static_cast<double>(high.all(1).sum().item<std::int64_t>()), 2.5, 1.5);
  }
}

TEST_F(MixedBatchesTest, AreNotReadFromOtherDataThanThePlanned) {
  DataIdentity other = mixture_.identity;
  other.digest = std::string(32, '0');
  EXPECT_THROW((void)open_text(launch_, other), JobFailure);
  const std::vector<std::uint16_t> tokens(400, 7);
  write_corpus(folder_.path() / "high/train.manifest", tokens);
  EXPECT_THROW((void)open_text(launch_, mixture_.identity), Error);
  fs::remove(folder_.path() / "high/train.manifest");
  EXPECT_THROW((void)open_text(launch_, mixture_.identity), JobFailure);
}

TEST_F(BatchesTest, ForTheProcessorLieInPlainMemoryAndAreNotCopied) {
  const Batch batch = Batches(text(), options_).read(0, 2);
  EXPECT_FALSE(batch.tokens.is_pinned());
  EXPECT_EQ(on_device(batch, at::kCPU).tokens.data_ptr(), batch.tokens.data_ptr());
}

}  // namespace
}  // namespace mestre
