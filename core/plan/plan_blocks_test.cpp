// [model.blocks]: layers of single blocks, from a file, an axis or a [[when]], and what becomes of them in identity.

#include "core/plan/plan_test_sweep.h"

namespace mestre {
namespace {

constexpr const char* kMambas =
    "[model]\nwidth = 64\nlayers = [\"mamba\", \"mlp\"]\nrepeat = 3\nmlp.intermediate = 128\n";

bool has(const PlannedJob& job, const std::string& text) {
  return job.spec.find(text) != std::string::npos;
}

TEST(Blocks, AreWrittenOutInTheSpec) {
  SweepFolder folder;
  const Plan plan =
      folder.sound("[model.blocks]\n1 = [\"attention\", \"mlp\"]\n[model.attention]\nheads = 2\n", kTestTrain, kMambas);
  ASSERT_EQ(plan.jobs.size(), 1U) << folder.said;
  EXPECT_TRUE(has(plan.jobs[0], R"("layers":["mamba","mlp","attention","mlp","mamba","mlp"],"layers_per_block":2)"));
  EXPECT_TRUE(has(plan.jobs[0], R"("repeat":1)"));
  EXPECT_FALSE(has(plan.jobs[0], "blocks\":{"));
}

TEST(Blocks, AreTheSameExperimentAsLayersWrittenOutByHand) {
  SweepFolder folder;
  const Plan blocks =
      folder.sound("[model.blocks]\n1 = [\"attention\", \"mlp\"]\n[model.attention]\nheads = 2\n", kTestTrain, kMambas);
  const Plan by_hand =
      folder.sound("", kTestTrain,
                   "[model]\nwidth = 64\nlayers = [\"mamba\", \"mlp\", \"attention\", \"mlp\", \"mamba\", \"mlp\"]\n"
                   "mlp.intermediate = 128\nattention.heads = 2\n");
  EXPECT_EQ(ids_of(blocks, "train"), ids_of(by_hand, "train"));
}

TEST(Blocks, OfThreeLayersKeepTheirLengthWhenWrittenOut) {
  SweepFolder folder;
  const Plan plan = folder.sound(
      "[model.blocks]\n1 = [\"mlp\", \"mamba\", \"mlp\"]\n", kTestTrain,
      "[model]\nwidth = 64\nlayers = [\"mamba\", \"mamba\", \"mlp\"]\nrepeat = 2\nmlp.intermediate = 128\n");
  ASSERT_EQ(plan.jobs.size(), 1U);
  EXPECT_TRUE(has(plan.jobs[0], R"("layers":["mamba","mamba","mlp","mlp","mamba","mlp"],"layers_per_block":3)"));
}

TEST(Blocks, CanBeAnAxisAndGiveWayToAnOverride) {
  SweepFolder folder;
  const Plan plan = folder.sound(
      "[[axis]]\nname = \"second\"\nlabels = [\"attention\", \"mamba\"]\n"
      "model.blocks.1 = [[\"attention\", \"mlp\"], [\"mamba\", \"mlp\"]]\n"
      "[[axis]]\ntrain.seed = [1, 2]\n"
      "[[when]]\nwhere = { second = \"mamba\", seed = 2 }\nmodel.blocks.1 = [\"mlp\", \"mamba\"]\n"
      "[[when]]\nwhere = { second = \"attention\" }\nmodel.attention.heads = 2\n",
      kTestTrain, kMambas);
  ASSERT_EQ(plan.cells.size(), 4U);
  const auto spec_of = [&](std::size_t cell) { return plan.jobs[plan.cells[cell].jobs[0]]; };
  EXPECT_TRUE(has(spec_of(0), R"(["mamba","mlp","attention","mlp","mamba","mlp"])"));
  EXPECT_TRUE(has(spec_of(2), R"(["mamba","mlp","mamba","mlp","mamba","mlp"])"));
  EXPECT_TRUE(has(spec_of(3), R"(["mamba","mlp","mlp","mamba","mamba","mlp"])"));
}

TEST(Blocks, OverrideThoseOfTheModelFile) {
  SweepFolder folder;
  const Plan plan = folder.sound("[[axis]]\ntrain.seed = [1]\n", kTestTrain,
                                 "[model]\nuse = \"hybrid\"\nrepeat = 2\nblocks.3 = [\"mlp\", \"mamba\"]\n");
  ASSERT_EQ(plan.jobs.size(), 1U);
  EXPECT_TRUE(has(plan.jobs[0], R"("layers":["mamba","mlp","swa","mlp","mamba","mlp","mlp","mamba"])"));
}

}  // namespace
}  // namespace mestre
