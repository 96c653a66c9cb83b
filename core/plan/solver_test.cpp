// The solver against brute force, on random quantities that rise or fall with gaps and plateaus; and [[solve]] on small
// models.

#include "core/plan/solver.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>
// after gtest.h, which it needs
#include <rapidcheck/gtest.h>

#include "core/plan/plan_test_sweep.h"

namespace mestre {
namespace {

// Each possible value with its quantity.
using Curve = std::map<std::int64_t, double>;

Curve random_curve(const SolveRange& range) {
  const bool falls = *rc::gen::arbitrary<bool>();
  const int gaps = *rc::gen::inRange(0, 10);  // of ten values, how many are impossible
  Curve curve;
  double level = *rc::gen::inRange(-50, 50);
  for (std::int64_t value = range.first; value <= range.last; value += range.step) {
    level += (falls ? -1.0 : 1.0) * *rc::gen::inRange(0, 4);  // 0: a plateau
    if (*rc::gen::inRange(0, 10) >= gaps) curve[value] = level;
  }
  return curve;
}

// Of the nearest, the smallest value.
std::optional<SolvePoint> brute_force(const Curve& curve, double target) {
  std::optional<SolvePoint> best;
  for (const auto& [value, quantity] : curve)
    if (!best || std::abs(quantity - target) < std::abs(best->quantity - target))
      best = {.value = value, .quantity = quantity};
  return best;
}

RC_GTEST_PROP(Solver, EqualsBruteForce, ()) {
  const auto first = *rc::gen::inRange<std::int64_t>(1, 50);
  const auto step = *rc::gen::inRange<std::int64_t>(1, 40);
  const SolveRange range{.first = first, .last = first + step * *rc::gen::inRange<std::int64_t>(0, 120), .step = step};
  const Curve curve = random_curve(range);
  const double target = *rc::gen::inRange(-300, 300) + 0.25 * *rc::gen::inRange(0, 4);
  const std::optional<Solved> solved = solve(range, target, [&](std::int64_t value) -> std::optional<double> {
    const auto found = curve.find(value);
    return found == curve.end() ? std::nullopt : std::optional(found->second);
  });
  const std::optional<SolvePoint> expected = brute_force(curve, target);
  RC_ASSERT(solved.has_value() == expected.has_value());
  if (!solved) return;
  RC_ASSERT(solved->best == *expected);
  // Where the target is missed, the neighbours embrace it, and nothing lies between them and it.
  if (solved->best.quantity == target) return;
  for (const auto& [value, quantity] : curve) {
    const std::optional<SolvePoint>& side = quantity < target ? solved->below : solved->above;
    RC_ASSERT(side.has_value());
    RC_ASSERT(std::abs(quantity - target) >= std::abs(side->quantity - target));
  }
}

TEST(Solver, AsksForFewValues) {
  int asked = 0;
  const std::optional<Solved> solved =
      solve({.first = 32, .last = 10'000'000, .step = 32}, 438e6, [&](std::int64_t value) {
        ++asked;
        return std::optional(36864.0 * static_cast<double>(value) + 5e7);
      });
  ASSERT_TRUE(solved);
  EXPECT_EQ(solved->best.value, 10528);
  EXPECT_LT(asked, 50);
}

TEST(Solver, GivesUpWhereNothingIsPossible) {
  int asked = 0;
  const auto impossible = [&](std::int64_t) -> std::optional<double> {
    ++asked;
    return std::nullopt;
  };
  EXPECT_FALSE(solve({.first = 1, .last = 1'000'000'000, .step = 1}, 5, impossible, 1000));
  EXPECT_LE(asked, 1001);
}

TEST(Solver, TellsTheResidual) {
  EXPECT_EQ(residual(0, 0), 0);
  EXPECT_EQ(residual(101, 100), 0.01);
  EXPECT_EQ(residual(99, 100), -0.01);
  EXPECT_TRUE(std::isinf(residual(1, 0)));
}

constexpr const char* kTwoModelsOfTwoWidths =
    "[[axis]]\nname = \"architecture\"\n[[axis.cell]]\nlabel = \"A\"\nmodel.use = "
    "\"attention\"\nmodel.mlp.intermediate = 400\n"
    "[[axis.cell]]\nlabel = \"H\"\nmodel.use = \"hybrid\"\n";

// Every value of an option, tried one by one through the planner itself.
TEST(Solve, EqualsBruteForceOverPlans) {
  SweepFolder folder;
  const auto with = [&](std::int64_t value) {
    const Plan plan =
        folder.sound("", kTestTrain, fmt::format("[model]\nuse = \"hybrid\"\nmlp.intermediate = {}\n", value));
    return static_cast<double>(plan.jobs.front().estimate.parameters);
  };
  for (const double target : {60e3, 91e3, 100e3, 131.5e3}) {
    double best = 0;
    for (std::int64_t value = 8; value <= 400; value += 8)
      if (best == 0 || std::abs(with(value) - target) < std::abs(best - target)) best = with(value);
    const Plan plan = folder.sound(fmt::format(
        "[[solve]]\nvary = \"model.mlp.intermediate\"\nstep = 8\ntarget = {{ parameters = {}, tolerance = 1 }}\n",
        target));
    ASSERT_EQ(plan.solutions.size(), 1U);
    EXPECT_EQ(plan.solutions[0].reached, best);
    EXPECT_EQ(static_cast<double>(plan.jobs.front().estimate.parameters), best);
    EXPECT_EQ(plan.cells.front().solution, 0);
  }
}

TEST(Solve, MatchesTheBaselineInEachQuantity) {
  SweepFolder folder;
  for (const char* quantity : {"parameters", "parameters_without_embeddings", "training_flops", "memory"}) {
    const std::string rest = fmt::format(
        "{}[[solve]]\nwhere = {{ architecture = \"H\" }}\nvary = \"model.mlp.intermediate\"\ntarget = {{ {} = "
        "\"baseline\", tolerance = 0.02 }}\n"
        "[[axis]]\ntrain.seed = [1, 2]\n",
        kTwoModelsOfTwoWidths, quantity);
    const std::optional<Plan> plan = folder.plan("[sweep]\nname = \"test\"\nbaseline = { architecture = \"A\" }\n" +
                                                 std::string(kTestTrain) + kTestData + rest);
    ASSERT_TRUE(plan) << folder.said;
    ASSERT_EQ(plan->cells.size(), 4U);
    ASSERT_EQ(plan->solutions.size(), 1U) << "solved once for both seeds";
    EXPECT_TRUE(plan->solutions[0].of_baseline);
    EXPECT_EQ(plan->cells[0].solution, -1);
    EXPECT_EQ(plan->cells[2].solution, 0);
    EXPECT_LE(std::abs(plan->solutions[0].residual), 0.02);
    const Estimate& solved = plan->jobs[plan->cells[2].jobs[0]].estimate;
    const Estimate& baseline = plan->jobs[plan->cells[0].jobs[0]].estimate;
    const std::string_view name = quantity;
    const auto of = [&](const Estimate& estimate) {
      if (name == "parameters") return static_cast<double>(estimate.parameters);
      if (name == "memory") return estimate.memory.total();
      return name == "training_flops" ? estimate.flops : static_cast<double>(estimate.parameters_without_embeddings);
    };
    EXPECT_NEAR(of(solved) / of(baseline), 1, 0.02) << quantity;
  }
}

// Heads must divide the width: the solver steps over those that do not.
TEST(Solve, RespectsWhatAMixerAllows) {
  SweepFolder folder;
  const Plan plan =
      folder.sound("[[solve]]\nvary = \"model.width\"\nstep = 1\ntarget = { parameters = \"200K\", tolerance = 0.1 }\n",
                   kTestTrain, "[model]\nuse = \"attention\"\nattention.heads = 6\n");
  ASSERT_EQ(plan.solutions.size(), 1U);
  EXPECT_EQ(plan.solutions[0].value % 12, 0) << "six heads of an even size";
}

}  // namespace
}  // namespace mestre
