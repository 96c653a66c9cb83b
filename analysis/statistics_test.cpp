#include "analysis/statistics.h"

#include <array>
#include <cmath>

#include <gtest/gtest.h>

namespace mestre {
namespace {

TEST(Statistics, MeanAndDeviationOfKnownValues) {
  const std::array values{2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0};
  EXPECT_DOUBLE_EQ(mean(values), 5.0);
  EXPECT_DOUBLE_EQ(standard_deviation(values), std::sqrt(32.0 / 7));
}

TEST(Statistics, QuantilesAreThoseOfThePrintedTables) {
  EXPECT_NEAR(t_quantile(2), 12.706, 5e-4);
  EXPECT_NEAR(t_quantile(3), 4.303, 5e-4);
  EXPECT_NEAR(t_quantile(5), 2.776, 5e-4);
  EXPECT_NEAR(t_quantile(31), 2.042, 5e-4);
  EXPECT_NEAR(t_quantile(11, 0.99), 3.169, 5e-4);
}

TEST(Statistics, IntervalOfThreeSeeds) {
  const std::array values{5.62, 5.71, 5.68};
  const Summary summary = summarize(values);
  EXPECT_EQ(summary.n, 3);
  EXPECT_NEAR(summary.mean, 5.67, 1e-12);
  EXPECT_NEAR(summary.deviation, std::sqrt(0.0021), 1e-12);
  EXPECT_NEAR(summary.half_width, 4.30265273 * std::sqrt(0.0021 / 3), 1e-8);
}

TEST(Statistics, OneValueHasNoInterval) {
  const std::array values{5.62};
  const Summary summary = summarize(values);
  EXPECT_EQ(summary.mean, 5.62);
  EXPECT_TRUE(std::isnan(summary.deviation));
  EXPECT_TRUE(std::isnan(summary.half_width));
  EXPECT_TRUE(std::isnan(mean({})));
}

TEST(Statistics, ADivergedSeedIsNotDropped) {
  const std::array values{5.62, std::numeric_limits<double>::infinity()};
  EXPECT_EQ(mean(values), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(t_half_width(values)));
}

TEST(Statistics, PairingBySeedCancelsWhatSeedsHaveInCommon) {
  // Every seed shifts both sides by about its own amount; the treatment is better by 0.1 with little noise.
  const std::array<Keyed, 3> baseline{{{"1", 5.0}, {"2", 6.0}, {"3", 7.0}}};
  const std::array<Keyed, 3> treatment{{{"3", 6.91}, {"1", 4.89}, {"2", 5.90}}};
  const Paired paired = paired_differences(treatment, baseline);
  ASSERT_EQ(paired.differences.size(), 3U);
  EXPECT_EQ(paired.differences[0].first, "3");
  EXPECT_NEAR(paired.differences[0].second, -0.09, 1e-12);
  EXPECT_NEAR(paired.summary.mean, -0.1, 1e-12);
  EXPECT_NEAR(paired.summary.half_width, 4.30265273 * 0.01 / std::sqrt(3), 1e-8);
  EXPECT_TRUE(paired.unpaired.empty());
}

TEST(Statistics, SeedsOfOneSideOnlyAreNamed) {
  const std::array<Keyed, 2> baseline{{{"1", 5.0}, {"2", 6.0}}};
  const std::array<Keyed, 2> treatment{{{"2", 5.5}, {"4", 4.0}}};
  const Paired paired = paired_differences(treatment, baseline);
  EXPECT_EQ(paired.summary.n, 1);
  EXPECT_EQ(paired.summary.mean, -0.5);
  EXPECT_TRUE(std::isnan(paired.summary.half_width));
  EXPECT_EQ(paired.unpaired, (std::vector<std::string>{"4", "1"}));
}

}  // namespace
}  // namespace mestre
