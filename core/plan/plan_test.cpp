#include <algorithm>
#include <cstdlib>
#include <sstream>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/plan/plan_test_sweep.h"
#include "core/spec/hardware.h"
#include "core/spec/job.h"

namespace mestre {
namespace {

using Names = std::vector<std::string>;

TEST(Plan, CrossesAxesTheLastFastest) {
  SweepFolder folder;
  const Plan plan = folder.sound(kTestArchitectures + kTestSeeds, kTestTrain, "");
  EXPECT_EQ(names_of(plan), (Names{"architecture=A,seed=1", "architecture=A,seed=2", "architecture=H,seed=1",
                                   "architecture=H,seed=2"}));
  ASSERT_EQ(plan.axes.size(), 2U);
  EXPECT_FALSE(plan.axes[0].replicates);
  EXPECT_TRUE(plan.axes[1].replicates);
  EXPECT_EQ(plan.cells[2].labels, (Names{"H", "1"}));
}

TEST(Plan, MovesTheKeysOfOneAxisTogether) {
  SweepFolder folder;
  const Plan plan = folder.sound(
      "[[axis]]\nname = \"length\"\ntrain.sequence_length = [128, 256]\ntrain.sequences_per_step = [16, 8]\n");
  ASSERT_EQ(plan.cells.size(), 2U);
  EXPECT_NE(plan.jobs[0].spec.find("\"sequence_length\":128,\"sequences_per_step\":16"), std::string::npos);
  EXPECT_NE(plan.jobs[1].spec.find("\"sequence_length\":256,\"sequences_per_step\":8"), std::string::npos);
}

TEST(Plan, HasAnAxisOnlyWhereItsConditionHolds) {
  SweepFolder folder;
  const Plan plan = folder.sound(
      kTestArchitectures + "[[axis]]\nwhere = { architecture = \"H\" }\nmodel.swa.window = [8, 16]\n" + kTestSeeds,
      kTestTrain, "");
  EXPECT_EQ(names_of(plan), (Names{"architecture=A,seed=1", "architecture=A,seed=2", "architecture=H,window=8,seed=1",
                                   "architecture=H,window=8,seed=2", "architecture=H,window=16,seed=1",
                                   "architecture=H,window=16,seed=2"}));
  EXPECT_EQ(plan.cells[0].labels, (Names{"A", "", "1"}));
}

TEST(Plan, LeavesExcludedCellsOut) {
  SweepFolder folder;
  const Plan plan = folder.sound(
      kTestArchitectures + kTestSeeds + "[[exclude]]\nwhere = { architecture = \"A\", seed = 2 }\n", kTestTrain, "");
  EXPECT_EQ(names_of(plan), (Names{"architecture=A,seed=1", "architecture=H,seed=1", "architecture=H,seed=2"}));
}

TEST(Plan, LetsOverridesWinOverAxesAndAxesOverTheSweep) {
  SweepFolder folder;
  const std::string train = std::string(kTestTrain) + "learning_rate = 0.5\n";
  EXPECT_NE(folder.sound("", train).jobs[0].spec.find("\"learning_rate\":0.5"), std::string::npos);
  const std::string axis = "[[axis]]\ntrain.learning_rate = [0.25, 0.125]\n";
  const Plan plan =
      folder.sound(axis + "[[when]]\nwhere = { learning_rate = 0.125 }\ntrain.learning_rate = 0.75\n", train);
  EXPECT_NE(plan.jobs[0].spec.find("\"learning_rate\":0.25"), std::string::npos);
  EXPECT_NE(plan.jobs[1].spec.find("\"learning_rate\":0.75"), std::string::npos);
}

TEST(Plan, FillsLabelsIntoTheNameOfTheModel) {
  SweepFolder folder;
  const Plan plan = folder.sound(
      "[[axis]]\nname = \"mixer\"\n[[axis.cell]]\nlabel = \"attention\"\n[[axis.cell]]\nlabel = \"hybrid\"\n",
      kTestTrain, "[model]\nuse = \"{mixer}\"\n");
  ASSERT_EQ(plan.jobs.size(), 2U);
  EXPECT_EQ(plan.jobs[0].spec.find("\"mamba\":{"), std::string::npos);
  EXPECT_NE(plan.jobs[1].spec.find("\"mamba\":{"), std::string::npos);
}

TEST(Plan, SharesJobsBetweenCells) {
  SweepFolder folder;
  const Plan plan = folder.sound(
      "[[axis]]\nname = \"way\"\n[[axis.cell]]\nlabel = \"set\"\ntrain.warmup = 0.01\n[[axis.cell]]\nlabel = "
      "\"default\"\n" +
      std::string(kTestEvaluation));
  ASSERT_EQ(plan.cells.size(), 2U);
  EXPECT_EQ(plan.jobs.size(), 2U);
  EXPECT_EQ(plan.cells[0].jobs, plan.cells[1].jobs);
}

TEST(Plan, EvaluatesWhatAConditionNames) {
  SweepFolder folder;
  const Plan plan =
      folder.sound(kTestSeeds + kTestEvaluation +
                   "[[evaluate]]\nname = \"long\"\ntask = \"perplexity\"\nlengths = [1024]\nwhere = { seed = 2 }\n");
  EXPECT_EQ(plan.cells[0].jobs.size(), 2U);
  ASSERT_EQ(plan.cells[1].jobs.size(), 3U);
  const PlannedJob& job = plan.jobs[plan.cells[1].jobs[2]];
  EXPECT_EQ(job.name, "long");
  EXPECT_EQ(job.needs, std::vector<std::size_t>{plan.cells[1].jobs[0]});
  EXPECT_NE(job.spec.find(plan.jobs[plan.cells[1].jobs[0]].id), std::string::npos);
}

TEST(Plan, OrdersContrastFirst) {
  SweepFolder folder;
  const Plan plan = folder.sound(kTestArchitectures + kTestSeeds, kTestTrain, "");
  std::vector<std::size_t> order = {0, 1, 2, 3};
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return plan.jobs[a].priority < plan.jobs[b].priority; });
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 2, 1, 3}));
}

TEST(Plan, KnowsWhatIsFinishedAndHowFastItWas) {
  SweepFolder folder;
  const Plan fresh = folder.sound(kTestSeeds);
  EXPECT_FALSE(fresh.jobs[0].finished);
  EXPECT_FALSE(fresh.jobs[0].estimate.measured());
  folder.context.finished = {fresh.jobs[0].id};
  folder.context.speeds[fresh.jobs[1].speed_key] = {.tokens_per_second = 1024, .deviation = 0, .runs = 1};
  const Plan known = folder.sound(kTestSeeds);
  EXPECT_TRUE(known.jobs[0].finished);
  EXPECT_FALSE(known.jobs[1].finished);
  EXPECT_TRUE(known.jobs[1].estimate.measured());
  EXPECT_DOUBLE_EQ(known.jobs[1].estimate.seconds, 64.0);
}

TEST(Plan, PricesTrainingByItsFormulas) {
  SweepFolder folder;
  const Plan plan = folder.sound("[resources]\nmicro_batch = 2\n");
  const Estimate& estimate = plan.jobs[0].estimate;
  const ModelSpec model = std::get<TrainJob>(parse_job(plan.jobs[0].spec)).model;
  EXPECT_EQ(estimate.parameters, model.parameters());
  EXPECT_DOUBLE_EQ(estimate.tokens, 65536);
  EXPECT_DOUBLE_EQ(estimate.flops, 3 * model.forward_flops(256) * 65536);
  EXPECT_DOUBLE_EQ(estimate.memory.total(), 16.0 * static_cast<double>(model.parameters()) +
                                                2 * 256 * (model.activation_bytes(256, 4) + model.logit_bytes(4)));
  EXPECT_DOUBLE_EQ(estimate.disk_bytes, 24.0 * static_cast<double>(model.parameters()));
  EXPECT_DOUBLE_EQ(estimate.seconds, estimate.flops / assumed_thread_speed().expected);
}

TEST(Plan, WritesSpecsThatReadBack) {
  SweepFolder folder;
  const Plan plan = folder.sound(kTestArchitectures + kTestSeeds + kTestEvaluation, kTestTrain, "");
  ASSERT_EQ(plan.jobs.size(), 8U);
  for (const PlannedJob& job : plan.jobs) {
    EXPECT_EQ(canonical_spec(parse_job(job.spec)), job.spec);
    EXPECT_EQ(job_id(job.spec), job.id);
  }
  for (const PlannedCell& cell : plan.cells) {
    const auto options = nlohmann::json::parse(cell.options);
    const auto spec = nlohmann::json::parse(plan.jobs[cell.jobs[0]].spec);
    for (const char* section : {"data", "model", "train"}) EXPECT_EQ(options[section], spec[section]);
  }
}

TEST(Plan, NamesTheDataItNeeds) {
  SweepFolder folder;
  const Plan plan = folder.sound(kTestEvaluation);
  EXPECT_EQ(plan.data, (std::map<std::string, std::string>{{std::string(32, 'a'), "text/train.manifest"},
                                                           {std::string(32, 'b'), "text/validation.manifest"}}));
}

TEST(Plan, GoesOnWithoutDataThatAreNotThere) {
  SweepFolder folder;
  const std::string data = "[data]\ntrain = \"other/train.manifest\"\nvalidation = \"text/validation.manifest\"\n";
  const std::optional<Plan> plan = folder.plan("[sweep]\nname = \"test\"\n" + std::string(kTestTrain) + data +
                                               kTestModel + "vocabulary = 300\n" + kTestSeeds + kTestEvaluation);
  ASSERT_TRUE(plan) << folder.said;
  EXPECT_EQ(folder.said, "");
  ASSERT_EQ(plan->missing.size(), 1U);
  EXPECT_EQ(plan->missing[0].path, "other/train.manifest");
  EXPECT_EQ(plan->data, (std::map<std::string, std::string>{{std::string(32, 'b'), "text/validation.manifest"}}));
  for (const PlannedJob& job : plan->jobs) EXPECT_TRUE(job.provisional) << job.name;
  EXPECT_NE(plan->jobs[0].spec.find("\"digest\":\"missing:other/train.manifest\""), std::string::npos);
  EXPECT_NE(plan->jobs[0].spec.find("\"vocabulary\":300"), std::string::npos);
}

TEST(PlanJson, IsTheSameForTheSamePlan) {
  SweepFolder folder;
  const std::string rest = kTestArchitectures + kTestSeeds + kTestEvaluation;
  const std::string text = plan_json(folder.sound(rest, kTestTrain, ""));
  EXPECT_EQ(text, plan_json(folder.sound(rest, kTestTrain, "")));
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["cells"].size(), 4U);
  EXPECT_EQ(json["jobs"].size(), 8U);
  EXPECT_EQ(json["totals"]["jobs"], 8);
  EXPECT_EQ(json["cells"][0]["labels"]["architecture"], "A");
}

TEST(Plan, RefusesAGridBeyondItsLimitBeforeExpandingIt) {
  SweepFolder folder;
  std::string axes;
  for (const char* option :
       {"beta1", "beta2", "warmup", "epsilon", "weight_decay", "clip_norm", "learning_rate", "final_learning_rate"}) {
    axes += fmt::format("[[axis]]\ntrain.{} = [", option);
    for (int i = 1; i <= 500; ++i) axes += fmt::format("{}, ", i / 1000.0);
    axes += "]\n";
  }
  EXPECT_FALSE(folder.plan("[sweep]\nname = \"test\"\n" + std::string(kTestTrain) + kTestData + kTestModel + axes));
  EXPECT_NE(folder.said.find("the grid has more than 9.2e18 cells, more than max_jobs = 100,000"), std::string::npos)
      << folder.said;
}

TEST(Plan, ThrowsOnlyWhereTheFileCannotBeRead) {
  Diagnostics diagnostics;
  try {
    (void)plan_sweep("/nowhere/sweep.toml", {}, diagnostics);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  }
}

// The digests that the quickstart pins are those of the real text.
std::string without_pins(const std::string& text) {
  std::istringstream lines(text);
  std::string kept;
  for (std::string line; std::getline(lines, line);)
    if (line.find("_digest") == std::string::npos) kept += line + "\n";
  return kept;
}

TEST(Quickstart, PlansFifteenCellsOfMatchedSize) {
  const char* source = std::getenv("MESTRE_SOURCE");
  ASSERT_NE(source, nullptr);
  const fs::path experiments = fs::path(source) / "experiments";
  SweepFolder folder;
  fs::create_directories(folder.path() / "data/torch-headers");
  for (const char* name : {"train.manifest", "validation.manifest"})
    fs::copy_file(folder.path() / "data/text" / name, folder.path() / "data/torch-headers" / name);
  fs::copy(experiments / "models", folder.path() / "models", fs::copy_options::recursive);
  const std::optional<Plan> plan = folder.plan(without_pins(read_file(experiments / "quickstart.toml")));
  ASSERT_TRUE(plan) << folder.said;
  EXPECT_EQ(plan->cells.size(), 15U);
  EXPECT_EQ(plan->jobs.size(), 45U);
  EXPECT_EQ(plan->baseline, (std::vector<std::pair<std::string, std::string>>{{"architecture", "Llama-2-SWA"}}));
  const auto baseline = static_cast<double>(plan->jobs[plan->cells[3].jobs[0]].estimate.parameters);
  for (const PlannedJob& job : plan->jobs)
    EXPECT_NEAR(static_cast<double>(job.estimate.parameters) / baseline, 1, 0.02) << job.id;
}

}  // namespace
}  // namespace mestre
