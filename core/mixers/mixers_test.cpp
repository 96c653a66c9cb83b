// What mixers count: parameters tensor by tensor, operations pair by pair.

#include <numeric>

#include <gtest/gtest.h>

#include "core/mixers/attention/options.h"
#include "core/mixers/gla/options.h"
#include "core/mixers/mega_s6/options.h"
#include "core/mixers/retention/options.h"

namespace mestre {
namespace {

constexpr ModelShape kShape = {.width = 96, .vocabulary = 257};

// Elements of tensors of these shapes.
std::int64_t elements(const std::vector<std::vector<std::int64_t>>& tensors) {
  std::int64_t sum = 0;
  for (const std::vector<std::int64_t>& shape : tensors)
    sum += std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  return sum;
}

std::vector<std::string> complaints(const MixerOptions& options, const ModelShape& shape = kShape) {
  std::vector<std::string> fields;
  options.check(shape,
                [&](std::string_view field, const std::string&, const std::string&) { fields.emplace_back(field); });
  return fields;
}

TEST(Gla, CountsTheTensorsOfTheStudysCode) {
  GlaOptions options;
  options.heads = 4;  // keys of 12 elements, values of 24
  const std::int64_t projections = elements({{48, 96}, {48, 96}, {96, 96}, {96, 96}, {96, 96}});  // q k v g o
  const std::int64_t decay = elements({{16, 96}, {48, 16}});
  EXPECT_EQ(options.parameters(kShape), projections + decay + elements({{48}, {24}}));
  const double recurrence = 5.0 * 4 * 12 * 24;
  EXPECT_DOUBLE_EQ(options.forward_flops(kShape, 10), 2.0 * static_cast<double>(projections + decay) + recurrence);
  EXPECT_DOUBLE_EQ(options.activation_bytes(kShape, 10, 2), 2.0 * (96 + 3 * 48 + 4 * 96 + 16));
  GlaOptions smoothed = options;
  smoothed.short_convolution = 4;
  const std::int64_t taps = elements({{48, 1, 4}, {48, 1, 4}, {96, 1, 4}});
  EXPECT_EQ(smoothed.parameters(kShape), options.parameters(kShape) + taps);
  EXPECT_DOUBLE_EQ(smoothed.forward_flops(kShape, 10),
                   options.forward_flops(kShape, 10) + 2.0 * static_cast<double>(taps));
  EXPECT_DOUBLE_EQ(smoothed.activation_bytes(kShape, 10, 2), options.activation_bytes(kShape, 10, 2) + 2.0 * 192);
}

TEST(Retention, CountsTheTensorsOfTheStudysCode) {
  RetentionOptions options;
  options.heads = 3;  // keys of 32 elements, values of 64
  const std::int64_t projections = elements({{96, 96}, {96, 96}, {192, 96}, {192, 96}, {96, 192}});  // q k v g o
  EXPECT_EQ(options.parameters(kShape), projections + elements({{64}}));
  EXPECT_DOUBLE_EQ(options.forward_flops(kShape, 10), 2.0 * static_cast<double>(projections) + 5.0 * 3 * 32 * 64);
  EXPECT_DOUBLE_EQ(options.activation_bytes(kShape, 10, 4), 4.0 * (96 + 2 * 96 + 4 * 192));
  RetentionOptions smoothed = options;
  smoothed.short_convolution = 4;
  EXPECT_EQ(smoothed.parameters(kShape), options.parameters(kShape) + elements({{96, 1, 4}, {96, 1, 4}, {192, 1, 4}}));
}

TEST(Attention, CountsItsShortConvolution) {
  AttentionOptions options;
  options.heads = 6;
  options.kv_heads = 2;
  AttentionOptions smoothed = options;
  smoothed.short_convolution = 4;
  const std::int64_t taps = elements({{96, 1, 4}, {32, 1, 4}, {32, 1, 4}});
  EXPECT_EQ(options.parameters(kShape), elements({{96 + 32 + 32, 96}, {96, 96}}));
  EXPECT_EQ(smoothed.parameters(kShape), options.parameters(kShape) + taps);
  EXPECT_DOUBLE_EQ(smoothed.forward_flops(kShape, 10),
                   options.forward_flops(kShape, 10) + 2.0 * static_cast<double>(taps));
}

TEST(MegaS6, CountsTheTensorsOfTheStudysCode) {
  MegaS6Options options;
  options.chunk = 4;
  options.key_size = 10;
  options.resolve(kShape);
  EXPECT_EQ(options.rank, 3);
  const std::int64_t move = elements({{96, 1, 4}, {96}, {3 + 32, 96}, {96, 3}, {96}, {96, 16}, {96}});
  const std::int64_t v = elements({{96, 96}, {96}});
  const std::int64_t mx = elements({{96 + 10 + 96 + 96, 96}, {96 + 10 + 96 + 96}});
  const std::int64_t h = elements({{96, 96}, {96}});
  EXPECT_EQ(options.parameters(kShape), move + v + mx + h + elements({{2, 10}, {2, 10}, {1, 10}, {1, 10}}));
}

TEST(MegaS6, SeesThePastOfItsChunk) {
  MegaS6Options options;
  for (const std::int64_t chunk : {1, 3, 4, 100}) {
    options.chunk = chunk;
    for (const std::int64_t length : {1, 3, 4, 8, 50}) {
      std::int64_t pairs = 0;
      for (std::int64_t t = 0; t < length; ++t)
        for (std::int64_t s = 0; s <= t; ++s) pairs += s / chunk == t / chunk ? 1 : 0;
      EXPECT_DOUBLE_EQ(options.mean_visible_keys(length), static_cast<double>(pairs) / static_cast<double>(length))
          << chunk << " " << length;
    }
  }
  options.chunk = 4;
  options.resolve(kShape);
  const double per_pair = 2.0 * (128 + 96);
  EXPECT_DOUBLE_EQ(options.forward_flops(kShape, 8) - options.forward_flops(kShape, 1), per_pair * (2.5 - 1));
}

TEST(ExpandedHeads, MustBeWhole) {
  GlaOptions gla;
  gla.heads = 4;
  EXPECT_EQ(complaints(gla), std::vector<std::string>{});
  gla.heads = 5;  // divides neither 48 nor 96
  EXPECT_EQ(complaints(gla), (std::vector<std::string>{"heads", "heads"}));
  gla.heads = 32;  // divides 96 alone
  EXPECT_EQ(complaints(gla), std::vector<std::string>{"heads"});
  gla.heads = 4;
  gla.key_expansion = 0.3;
  EXPECT_EQ(complaints(gla), std::vector<std::string>{"key_expansion"});
  gla.key_expansion = 0.1;  // not a binary fraction, but 0.1 x 1280 is 128
  EXPECT_EQ(complaints(gla, {.width = 1280, .vocabulary = 257}), std::vector<std::string>{});
  RetentionOptions retention;
  retention.heads = 32;  // keys of 3 elements
  EXPECT_EQ(complaints(retention), std::vector<std::string>{"rope"});
  retention.rope = false;
  EXPECT_EQ(complaints(retention), std::vector<std::string>{});
  MegaS6Options mega;
  mega.key_size = 31;
  EXPECT_EQ(complaints(mega), std::vector<std::string>{"key_size"});
}

}  // namespace
}  // namespace mestre
