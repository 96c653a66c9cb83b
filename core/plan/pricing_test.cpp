// What a plan says of cost and fairness: memory, time, budget, comparisons with the baseline.

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/plan/budget.h"
#include "core/plan/estimate.h"
#include "core/plan/explain.h"
#include "core/plan/fairness.h"
#include "core/plan/plan_diff.h"
#include "core/plan/plan_test_sweep.h"

namespace mestre {
namespace {

constexpr const char* kBaseline = "[sweep]\nname = \"test\"\nbaseline = { architecture = \"A\" }\n";

TEST(Estimates, CountEachPartOfTheMemoryOfAGpu) {
  const ModelCost cost{.parameters = 1000,
                       .parameters_without_embeddings = 900,
                       .layers = 2,
                       .forward_flops = 10,
                       .activation_bytes = 50,
                       .logit_bytes = 8};
  TrainOptions train;
  train.tokens = 4096;
  train.sequence_length = 16;
  train.sequences_per_step = 64;
  LaunchOptions launch;
  launch.gpus = 4;
  Estimate estimate = estimate_training(cost, train, launch);
  EXPECT_EQ(estimate.memory.weights, 4000);
  EXPECT_EQ(estimate.memory.gradients, 4000);
  EXPECT_EQ(estimate.memory.optimizer, 8000);
  EXPECT_EQ(estimate.memory.activations, 50 * 16 * 16) << "a quarter of the step's sequences on each GPU";
  EXPECT_EQ(estimate.memory.logits, 8 * 16 * 16);
  EXPECT_EQ(estimate.memory.context, kCudaContextBytes);
  EXPECT_EQ(estimate.flops, 3 * 10 * 4096);
  EXPECT_EQ(estimate.disk_bytes, 24000);
  launch.micro_batch = 2;
  EXPECT_EQ(estimate_training(cost, train, launch).memory.activations, 50 * 16 * 2);
  train.precision = "bfloat16";
  EXPECT_EQ(estimate_training(cost, train, launch).memory.weights, 6000) << "and the copies in bf16";
  launch.gpus = 0;
  EXPECT_EQ(estimate_training(cost, train, launch).memory.context, 0);
}

TEST(Estimates, GiveTheTimeWithItsInterval) {
  PlanContext context;
  LaunchOptions launch;
  launch.gpus = 2;
  launch.gpu = "H200";
  Estimate estimate;
  estimate.flops = 989e12 * 2 * 3600;
  estimate.tokens = 3600;
  price(estimate, "k", launch, true, context);
  EXPECT_FALSE(estimate.measured());
  EXPECT_NEAR(estimate.seconds, 3600 / 0.33, 1);
  EXPECT_NEAR(estimate.seconds_low, 3600 / 0.55, 1);
  EXPECT_NEAR(estimate.seconds_high, 3600 / 0.15, 1);
  context.speeds["k"] = {.tokens_per_second = 2, .deviation = 0.1, .runs = 4};
  price(estimate, "k", launch, true, context);
  EXPECT_TRUE(estimate.measured());
  EXPECT_EQ(estimate.seconds, 1800);
  EXPECT_NEAR(estimate.seconds_low, 1800 / 1.1, 1e-6);
  EXPECT_NEAR(estimate.seconds_high, 1800 / 0.9, 1e-6);
  context.speeds["k"].runs = 1;
  price(estimate, "k", launch, true, context);
  EXPECT_NEAR(estimate.seconds_high, 1800 / 0.8, 1e-6);
}

TEST(Estimates, KnowTheGpusByName) {
  EXPECT_EQ(find_gpu("H100")->bfloat16_flops, 989e12);
  EXPECT_EQ(find_gpu("h100"), nullptr);
  for (const std::string_view name : gpu_names()) {
    const AssumedSpeed speed = assumed_gpu_speed(name, true);
    EXPECT_LT(speed.low, speed.expected);
    EXPECT_LT(speed.expected, speed.high);
    EXPECT_LT(speed.high, find_gpu(name)->bfloat16_flops);
    EXPECT_LT(assumed_gpu_speed(name, false).high, speed.high);
  }
}

TEST(Budget, NamesTheCellsThatFitContrastFirst) {
  SweepFolder folder;
  const std::string text = std::string("[sweep]\nname = \"test\"\nbudget = \"HOURS GPUh\"\n") + kTestTrain + kTestData +
                           kTestArchitectures + "[[axis]]\ntrain.seed = [1, 2]\n[resources]\ngpus = 1\n";
  const auto with = [&](double hours) {
    std::string changed = text;
    changed.replace(changed.find("HOURS"), 5, fmt::format("{:.12f}", hours));
    return folder.plan(changed);
  };
  const std::optional<Plan> plan = with(1);
  ASSERT_TRUE(plan) << folder.said;
  const GpuHours all = gpu_hours_left(*plan);
  EXPECT_GT(all.high, all.expected);
  EXPECT_EQ(cells_within(*plan, all.expected / 2 * 1.0001), (std::vector<std::size_t>{0, 2})) << "one seed of both";
  EXPECT_EQ(cells_within(*plan, all.expected * 1.0001).size(), 4U);
  EXPECT_FALSE(with(all.expected / 2 * 1.01));
  EXPECT_NE(folder.said.find(
                "2 of 4 cells fit, in the order in which they would run: architecture=A,seed=1; architecture=H,seed=1"),
            std::string::npos)
      << folder.said;
}

TEST(Fairness, ComparesSizesBudgetsAndOptions) {
  FairnessFacts baseline{
      .parameters = 1000,
      .parameters_without_embeddings = 800,
      .tokens = 500,
      .data = "a",
      .tokenizer = "bytes",
      .options = {{"model.tied_head", "true"}, {"model.width", "64"}, {"train.learning_rate", "0.1"}}};
  FairnessFacts cell = baseline;
  Declared declared{.options = {"model.use"}, .model = true, .only_one_has = {}};
  EXPECT_TRUE(unfair(cell, baseline, declared, 0.02).empty());
  cell.options[1].second = "96";  // the layers are what is compared
  cell.parameters = 1019;
  cell.parameters_without_embeddings = 809;
  EXPECT_TRUE(unfair(cell, baseline, declared, 0.02).empty());
  cell.parameters = 1034;
  cell.tokens = 1000;
  cell.data = "b";
  cell.options[0].second = "false";
  cell.options[2].second = "0.2";
  EXPECT_EQ(
      unfair(cell, baseline, declared, 0.02),
      (std::vector<std::string>{"1.00K training tokens, baseline 500", "other training text", "parameters +3.4 %",
                                "model.tied_head false, baseline true", "train.learning_rate 0.2, baseline 0.1"}));
  // An ablation of the training may vary it, and a width that no axis declares is marked.
  cell.parameters = 1000;
  cell.parameters_without_embeddings = 800;
  EXPECT_EQ(unfair(cell, baseline,
                   {.options = {"train.tokens", "train.learning_rate", "data.train", "model.tied_head"},
                    .model = false,
                    .only_one_has = {}},
                   0.02),
            (std::vector<std::string>{"1.00K training tokens, baseline 500", "other training text",
                                      "model.width 96, baseline 64"}));
  EXPECT_EQ(
      unfair(cell, baseline,
             {.options = {"train.tokens", "train.learning_rate", "data.train"}, .model = false, .only_one_has = {}},
             0.02),
      (std::vector<std::string>{"model.tied_head false, baseline true", "model.width 96, baseline 64"}));
}

TEST(Fairness, MarksCellsOfAPlan) {
  SweepFolder folder;
  const std::string sweep = std::string(kBaseline) + "parameter_tolerance = 2\n" + kTestTrain + kTestData +
                            kTestArchitectures + "[[axis]]\ntrain.seed = [1, 2]\n";
  std::optional<Plan> plan = folder.plan(sweep);
  ASSERT_TRUE(plan) << folder.said;
  EXPECT_TRUE(plan->marks.empty());
  plan = folder.plan(sweep +
                     "[[when]]\nwhere = { architecture = \"H\" }\ntrain.learning_rate = 0.5\nmodel.swa.rope = false\n");
  ASSERT_TRUE(plan) << folder.said;
  ASSERT_EQ(plan->marks.size(), 1U);
  EXPECT_EQ(plan->marks[0], (std::vector<std::string>{"model.swa.rope false, baseline none",
                                                      "train.learning_rate 0.5, baseline 0.0004"}));
  EXPECT_EQ(plan->cells[0].marks, -1);
  EXPECT_EQ(plan->cells[3].marks, 0);
  EXPECT_FALSE(folder.plan(sweep + "[[exclude]]\nwhere = { architecture = \"A\", seed = 2 }\n"));
  EXPECT_NE(folder.said.find("cell 'architecture=H,seed=2' has no baseline"), std::string::npos) << folder.said;
}

TEST(Explaining, SaysWhereEachOptionComesFrom) {
  SweepFolder folder;
  const std::string sweep = std::string(kBaseline) + kTestTrain + kTestData + kTestArchitectures +
                            "[[axis]]\ntrain.seed = [1, 2]\n[[exclude]]\nwhere = { architecture = \"H\", seed = 2 }\n";
  folder.sound("");
  ASSERT_TRUE(folder.plan(sweep)) << folder.said;
  Diagnostics diagnostics;
  const std::string file = (folder.path() / "sweep.toml").string();
  const auto explained = explain_cell(file, "seed=1,architecture=H", folder.context, diagnostics);
  ASSERT_TRUE(explained) << diagnostics.render();
  EXPECT_EQ(explained->name, "architecture=H,seed=1");
  std::map<std::string, std::pair<std::string, std::string>> origins;
  for (const OptionOrigin& one : explained->options)
    origins[one.option] = {one.value, fs::path(one.origin).filename().string()};
  EXPECT_EQ(origins["train.tokens"], std::make_pair(std::string("65536"), std::string("sweep.toml:5")));
  EXPECT_EQ(origins["train.warmup"].second, "default");
  EXPECT_EQ(origins["model.swa.kv_heads"], std::make_pair(std::string("2"), std::string("worked out")));
  EXPECT_EQ(origins["model.swa.window"], std::make_pair(std::string("16"), std::string("hybrid.toml:5")));
  const auto excluded = explain_cell(file, "architecture=H,seed=2", folder.context, diagnostics);
  ASSERT_TRUE(excluded);
  EXPECT_FALSE(excluded->excluded_by.empty());
  EXPECT_THROW((void)explain_cell(file, "architecture=X,seed=1", folder.context, diagnostics), Error);
  EXPECT_THROW((void)explain_cell(file, "architecture=H", folder.context, diagnostics), Error);
}

TEST(PlanDiff, TellsWhatAnEditAddsKeepsAndOrphans) {
  SweepFolder folder;
  const Plan before = folder.sound("[[axis]]\ntrain.warmup = [0.1, 0.2, 0.3]\n");
  std::vector<RecordedCell> recorded;
  for (const PlannedCell& cell : before.cells)
    recorded.push_back({.name = cell.name,
                        .options = cell.options,
                        .jobs = {{.name = "train", .id = before.jobs[cell.jobs[0]].id, .state = "done"}}});
  const PlanDiff same = diff_plan(before, recorded);
  EXPECT_EQ(same.kept.size(), 3U);
  EXPECT_TRUE(same.added.empty() && same.changed.empty() && same.dropped.empty() && same.orphans.empty());
  const Plan after =
      folder.sound("[[axis]]\ntrain.warmup = [0.1, 0.2, 0.4]\n[[when]]\nwhere = { warmup = 0.2 }\ntrain.beta1 = 0.5\n");
  const PlanDiff diff = diff_plan(after, recorded);
  EXPECT_EQ(diff.kept, (std::vector<std::size_t>{0}));
  EXPECT_EQ(diff.added, (std::vector<std::size_t>{2}));
  ASSERT_EQ(diff.changed.size(), 1U);
  EXPECT_EQ(diff.changed[0].cell, 1U);
  EXPECT_EQ(diff.dropped, (std::vector<std::size_t>{2}));
  EXPECT_EQ(diff.orphans.size(), 2U);
}

}  // namespace
}  // namespace mestre
