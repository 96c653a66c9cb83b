#include "core/data/sampler.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace mestre {
namespace {

std::vector<std::uint64_t> order(std::uint64_t size, std::uint64_t seed, std::uint64_t epoch) {
  std::vector<std::uint64_t> images(size);
  for (std::uint64_t i = 0; i < size; ++i) images[i] = permuted(i, size, seed, epoch);
  return images;
}

TEST(Permuted, VisitsEachElementOnce) {
  for (const std::uint64_t size :
       {1, 2, 3, 4, 5, 7, 15, 16, 17, 97, 255, 256, 257, 1000, 1023, 1024, 1025, 65537, 100003}) {
    for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{3407}, ~std::uint64_t{0}}) {
      for (const std::uint64_t epoch : {0, 1, 2}) {
        std::vector<std::uint64_t> images = order(size, seed, epoch);
        std::sort(images.begin(), images.end());
        std::vector<std::uint64_t> all(size);
        std::iota(all.begin(), all.end(), 0);
        ASSERT_EQ(images, all) << "size " << size << ", seed " << seed << ", epoch " << epoch;
      }
    }
  }
}

TEST(Permuted, StaysInsideHugeRanges) {
  for (const std::uint64_t size : {std::uint64_t{1} << 40, (std::uint64_t{1} << 62) + 1, ~std::uint64_t{0}})
    for (const std::uint64_t index : {std::uint64_t{0}, std::uint64_t{1}, size / 2, size - 1})
      EXPECT_LT(permuted(index, size, 7, 0), size);
}

// The order of the blocks is part of every training job's identity. Where these vectors change, kSamplerVersion must be
// raised.
TEST(Permuted, IsFrozen) {
  using Order = std::vector<std::uint64_t>;
  EXPECT_EQ(order(1, 3407, 0), Order({0}));
  EXPECT_EQ(order(5, 3407, 0), Order({1, 3, 2, 4, 0}));
  EXPECT_EQ(order(16, 3407, 0), Order({6, 3, 2, 13, 0, 5, 1, 4, 7, 12, 15, 8, 11, 14, 9, 10}));
  EXPECT_EQ(order(16, 3407, 1), Order({13, 4, 2, 14, 12, 1, 7, 6, 0, 15, 11, 10, 3, 9, 5, 8}));
  EXPECT_EQ(order(16, 3408, 0), Order({4, 15, 11, 0, 7, 14, 2, 10, 12, 9, 1, 13, 6, 8, 3, 5}));
  EXPECT_EQ(permuted(0, 100003, 3407, 0), 6886U);
  EXPECT_EQ(permuted(100002, 100003, 3407, 9), 65330U);
  EXPECT_EQ(permuted(12345678901, std::uint64_t{1} << 40, 3407, 0), 943979735675U);
}

TEST(Permuted, DiffersBetweenSeedsAndEpochs) {
  std::vector<std::vector<std::uint64_t>> orders;
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    for (std::uint64_t epoch = 0; epoch < 20; ++epoch) orders.push_back(order(50, seed, epoch));
  std::sort(orders.begin(), orders.end());
  EXPECT_EQ(std::adjacent_find(orders.begin(), orders.end()), orders.end());
}

// All 24 orders of four elements, and each element at each place, must come up about equally often.
TEST(Permuted, GivesEachOrderOfFourAboutEquallyOften) {
  constexpr int kDraws = 24000;
  std::vector<int> counts(256);
  for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
    const auto images = order(4, seed, 0);
    ++counts[images[0] * 64 + images[1] * 16 + images[2] * 4 + images[3]];
  }
  double chi_squared = 0;  // 23 degrees of freedom: beyond 49.7 once in a thousand fair samples
  int seen = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++seen;
    chi_squared += (count - kDraws / 24.0) * (count - kDraws / 24.0) / (kDraws / 24.0);
  }
  EXPECT_EQ(seen, 24);
  EXPECT_LT(chi_squared, 49.7);
}

TEST(Permuted, PutsEachElementAnywhereAboutEquallyOften) {
  constexpr std::uint64_t kSize = 37;
  constexpr int kDraws = 37000;
  std::array<std::array<int, kSize>, kSize> counts{};
  for (int epoch = 0; epoch < kDraws; ++epoch)
    for (std::uint64_t i = 0; i < kSize; ++i) ++counts[i][permuted(i, kSize, 3407, static_cast<std::uint64_t>(epoch))];
  double chi_squared = 0;  // 36 x 36 = 1296 degrees of freedom: 1296 + 4 sigma
  for (const auto& row : counts)
    for (const int count : row) chi_squared += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_LT(chi_squared, 1500);
  EXPECT_GT(chi_squared, 1100) << "too even to be random";
}

// Neighbours of the corpus must not stay neighbours: an order that follows the text would train on one project after
// another.
TEST(Permuted, SeparatesNeighbours) {
  constexpr std::uint64_t kSize = 10007;
  const auto images = order(kSize, 3407, 0);
  double distance = 0;
  for (std::uint64_t i = 1; i < kSize; ++i)
    distance += std::abs(static_cast<double>(images[i]) - static_cast<double>(images[i - 1]));
  EXPECT_NEAR(distance / (kSize - 1) / kSize, 1.0 / 3, 0.02);
}

TEST(BlockSampler, ReadsEachBlockOncePerEpoch) {
  const BlockSampler sampler(1000, 31, 3407);
  ASSERT_EQ(sampler.blocks(), 31);  // of 32 tokens each; the last 8 tokens are left over
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::vector<std::int64_t> begins;
    for (std::int64_t i = 0; i < 31; ++i) begins.push_back(sampler.begin(epoch * 31 + i));
    std::sort(begins.begin(), begins.end());
    for (std::int64_t i = 0; i < 31; ++i) EXPECT_EQ(begins[static_cast<std::size_t>(i)], i * 32);
  }
}

TEST(BlockSampler, TakesNegativeSeeds) {
  EXPECT_NE(BlockSampler(100000, 9, -1).begin(0), BlockSampler(100000, 9, 1).begin(0));
}

TEST(BlockSampler, RefusesACorpusWithoutAWholeBlock) {
  EXPECT_EQ(BlockSampler(33, 32, 0).blocks(), 1);
  try {
    const BlockSampler sampler(32, 32, 0);
    FAIL() << "32 tokens hold no block of 33";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_EQ(error.message(), "the training data have 32 tokens, too few for one block of 32 + 1");
  }
}

}  // namespace
}  // namespace mestre
