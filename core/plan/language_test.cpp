// What sweeps can say beyond axes: budgets in steps, stages, other texts, extends, weights from elsewhere, other
// workers.

#include <algorithm>

#include <gtest/gtest.h>

#include "core/plan/plan_test_sweep.h"
#include "core/spec/job.h"

namespace mestre {
namespace {

const std::string kTune = "[[stage]]\nname = \"tune\"\ntrain.steps = 3\ntrain.learning_rate = 0.001\n";

const PlannedJob& job_called(const Plan& plan, std::size_t cell, const std::string& name) {
  for (const std::size_t job : plan.cells.at(cell).jobs)
    if (plan.jobs[job].name == name) return plan.jobs[job];
  ADD_FAILURE() << "no job " << name;
  static const PlannedJob kNone;
  return kNone;
}

std::vector<std::string> jobs_of(const Plan& plan, std::size_t cell) {
  std::vector<std::string> names;
  for (const std::size_t job : plan.cells.at(cell).jobs) names.push_back(plan.jobs[job].name);
  return names;
}

TEST(Budget, InStepsIsTheSameJobAsInTokens) {
  SweepFolder folder;
  const std::string shape = "sequence_length = 256\nsequences_per_step = 8\n";
  const std::set<std::string> tokens = ids_of(folder.sound("", "[train]\ntokens = 20480\n" + shape), "train");
  EXPECT_EQ(ids_of(folder.sound("", "[train]\nsteps = 10\n" + shape), "train"), tokens);
  EXPECT_EQ(ids_of(folder.sound("[[axis]]\ntrain.steps = [10]\n"), "train"), tokens);
  EXPECT_EQ(
      ids_of(folder.sound(kTestSeeds + "[[when]]\nwhere = { seed = [1, 2] }\ntrain.steps = 10\ntrain.seed = 3407\n"),
             "train"),
      tokens);
}

TEST(Stage, GoesOnFromTheJobBeforeIt) {
  SweepFolder folder;
  const Plan plan = folder.sound(kTestSeeds + kTune + "[[stage]]\nname = \"more\"\ntrain.tokens = 4096\n" +
                                 "[[stage]]\nname = \"beside\"\nfrom = \"train\"\ntrain.steps = 4\n");
  EXPECT_EQ(jobs_of(plan, 0), (std::vector<std::string>{"train", "tune", "more", "beside"}));
  const auto from = [&](const std::string& name) {
    const PlannedJob& job = job_called(plan, 1, name);
    EXPECT_EQ(job.kind, "train");
    const auto spec = std::get<TrainJob>(parse_job(job.spec));
    EXPECT_EQ(plan.jobs[job.needs.at(0)].id, spec.from);
    return plan.jobs[job.needs[0]].name;
  };
  EXPECT_EQ(from("tune"), "train");
  EXPECT_EQ(from("more"), "tune");
  EXPECT_EQ(from("beside"), "train");
  const auto tune = std::get<TrainJob>(parse_job(job_called(plan, 1, "tune").spec));
  EXPECT_EQ(tune.train.tokens, 3 * 8 * 256);
  EXPECT_EQ(tune.train.learning_rate, 0.001);
  EXPECT_EQ(tune.train.seed_init, 2);
  EXPECT_TRUE(plan.features.contains(kStagesFeature));
  EXPECT_EQ(job_called(plan, 0, "train").id, folder.sound(kTestSeeds).jobs[0].id);
}

TEST(Stage, BringsItsEvaluationsOnlyToTheCellsThatHaveIt) {
  SweepFolder folder;
  const std::string stage = kTune + "where = { seed = 2 }\n";
  const Plan plan = folder.sound(kTestSeeds + stage + kTestEvaluation +
                                 "[[evaluate]]\nname = \"tuned\"\ntask = \"perplexity\"\ncheckpoint = \"tune\"\n"
                                 "lengths = [256, 512]\n");
  EXPECT_EQ(jobs_of(plan, 0), (std::vector<std::string>{"train", "perplexity"}));
  EXPECT_EQ(jobs_of(plan, 1), (std::vector<std::string>{"train", "tune", "perplexity", "tuned"}));
  EXPECT_EQ(plan.jobs[job_called(plan, 1, "tuned").needs.at(0)].name, "tune");
}

TEST(Request, ReadsTheTextAndTakesTheResourcesThatItNames) {
  SweepFolder folder;
  const Plan before = folder.sound(kTestEvaluation);
  const Plan plan = folder.sound(std::string(kTestEvaluation) + "resources.threads = 4\n" +
                                 "[[evaluate]]\nname = \"on-train\"\ntask = \"perplexity\"\nlengths = [256, 512]\n"
                                 "data.validation = \"text/train.manifest\"\n");
  EXPECT_EQ(job_called(plan, 0, "perplexity").id, job_called(before, 0, "perplexity").id);
  EXPECT_EQ(job_called(plan, 0, "perplexity").launch.threads, 4);
  EXPECT_EQ(job_called(plan, 0, "train").launch.threads, 1);
  const PlannedJob& other = job_called(plan, 0, "on-train");
  EXPECT_EQ(other.data, "text/train.manifest");
  EXPECT_EQ(std::get<EvaluateJob>(parse_job(other.spec)).data.digest, std::string(32, 'a'));
}

TEST(Extends, MergesAsOneWouldByHand) {
  SweepFolder folder;
  fs::create_directories(folder.path() / "base");
  replace_file(folder.path() / "base/parent.toml",
               "[sweep]\nname = \"parent\"\nquestion = \"why\"\nbaseline = { seed = 1 }\n" + std::string(kTestTrain) +
                   "seed_data = 5\n" + kTestData + kTestModel + "swa.window = 8\n" + kTestSeeds +
                   "[[axis]]\nname = \"rate\"\ntrain.learning_rate = [0.1, 0.2, 0.3]\n"
                   "[[exclude]]\nwhere = { seed = 1, rate = 0.2 }\n" +
                   kTestEvaluation);
  const std::optional<Plan> plan = folder.plan(
      "extends = \"base/parent.toml\"\n[sweep]\nname = \"child\"\nbaseline = { rate = 0.5 }\n"
      "[train]\nsteps = 7\n[model]\nswa.rope = false\n[[axis]]\nname = \"rate\"\ntrain.learning_rate = [0.5, 0.2]\n"
      "[[axis]]\ntrain.warmup = [0.0, 0.5]\n[[exclude]]\nwhere = { warmup = 0.5, seed = 2 }\n"
      "[[evaluate]]\nname = \"perplexity\"\nlengths = [128]\n");
  ASSERT_TRUE(plan) << folder.said;
  EXPECT_EQ(plan->name, "child");
  EXPECT_EQ(plan->question, "why");
  EXPECT_EQ(plan->baseline, (std::vector<std::pair<std::string, std::string>>{{"rate", "0.5"}}));
  const Plan by_hand = folder.sound(
      kTestSeeds +
          "[[axis]]\nname = \"rate\"\ntrain.learning_rate = [0.5, 0.2]\n[[axis]]\ntrain.warmup = [0.0, 0.5]\n"
          "[[exclude]]\nwhere = { seed = 1, rate = 0.2 }\n[[exclude]]\nwhere = { warmup = 0.5, seed = 2 }\n"
          "[[evaluate]]\nname = \"perplexity\"\nlengths = [128]\n",
      "[train]\nsteps = 7\nseed_data = 5\nsequence_length = 256\nsequences_per_step = 8\n",
      std::string(kTestModel) + "swa.window = 8\nswa.rope = false\n");
  EXPECT_EQ(names_of(*plan), names_of(by_hand));
  ASSERT_EQ(plan->jobs.size(), by_hand.jobs.size());
  for (std::size_t i = 0; i < plan->jobs.size(); ++i) EXPECT_EQ(plan->jobs[i].spec, by_hand.jobs[i].spec);
}

TEST(Extends, LetsASeedReplaceTheSeedsThatItStandsFor) {
  SweepFolder folder;
  const std::string parent =
      "[sweep]\nname = \"parent\"\n" + std::string(kTestTrain) + "seed = 5\n" + kTestData + kTestModel;
  replace_file(folder.path() / "parent.toml", parent);
  const auto seeds = [&](const std::string& train) {
    const auto plan = folder.plan("extends = \"parent.toml\"\n[sweep]\nname = \"child\"\n[train]\n" + train);
    EXPECT_TRUE(plan) << folder.said;
    if (!plan) return std::pair<std::int64_t, std::int64_t>();
    const TrainOptions options = std::get<TrainJob>(parse_job(plan->jobs[0].spec)).train;
    return std::pair(options.seed_init, options.seed_data);
  };
  EXPECT_EQ(seeds("seed = 6\n"), (std::pair<std::int64_t, std::int64_t>(6, 6)));
  EXPECT_EQ(seeds("seed_init = 6\n"), (std::pair<std::int64_t, std::int64_t>(6, 5)));
  EXPECT_EQ(seeds("seed_data = 6\n"), (std::pair<std::int64_t, std::int64_t>(5, 6)));
}

TEST(MadeText, IsKnownByItsTaskAndTokenizer) {
  SweepFolder folder;
  const Plan plan = folder.sound(kTune + "data.task = \"passkey\"\n");
  const PlannedJob& job = job_called(plan, 0, "tune");
  const DataIdentity data = std::get<TrainJob>(parse_job(job.spec)).data;
  EXPECT_EQ(data.task, "passkey");
  EXPECT_EQ(data.digest, "");
  EXPECT_EQ(data.tokenizer, "bytes");
  EXPECT_EQ(job.data, "text/train.manifest");
  EXPECT_TRUE(plan.features.contains(kMadeTextFeature));
  EXPECT_TRUE(plan.missing.empty());
}

TEST(MadeText, OfItemsNeedsTheItems) {
  SweepFolder folder;
  const Plan plan = folder.sound("[[measure]]\nquantity = \"entropy\"\ndata.task = \"gsm8k\"\n");
  const PlannedJob& job = job_called(plan, 0, "entropy");
  EXPECT_EQ(job.kind, "measure");
  EXPECT_TRUE(job.provisional);
  ASSERT_EQ(plan.missing.size(), 1U);
  EXPECT_NE(plan.missing[0].path.find("gsm8k"), std::string::npos) << plan.missing[0].path;
  EXPECT_FALSE(job_called(plan, 0, "train").provisional);
}

TEST(Speed, IsMeasuredOnceForAllCellsOfOneModelAndMachine) {
  SweepFolder folder;
  const std::string speed = "[[measure]]\nquantity = \"prompt_throughput\"\nlengths = [256, 512]\n";
  const Plan plan = folder.sound(kTestSeeds + speed);
  EXPECT_EQ(plan.jobs.size(), 3U);
  const auto job = std::get<EvaluateJob>(parse_job(job_called(plan, 1, "prompt_throughput").spec));
  ASSERT_TRUE(job.setup);
  EXPECT_EQ(job.setup->gpus, 0);
  EXPECT_NE(job.setup->build, "");
  const auto id = [&](const std::string& rest) {
    return job_called(folder.sound(rest + speed), 0, "prompt_throughput").id;
  };
  const std::string before = id("");
  EXPECT_NE(id("[resources]\ngpus = 1\n"), before);
  EXPECT_NE(id("[[axis]]\ntrain.precision = [\"bfloat16\"]\n"), before);
  EXPECT_EQ(id("[[axis]]\ntrain.learning_rate = [0.5]\n"), before);
}

TEST(Speed, NeedsNoTraining) {
  SweepFolder folder;
  const std::string head = "[sweep]\nname = \"speeds\"\n" + std::string(kTestModel) + "vocabulary = 300\n";
  const std::string speed = "[[measure]]\nquantity = \"prompt_throughput\"\nlengths = [256, 512]\n";
  const auto plan = folder.plan(head + "[train]\nprecision = \"bfloat16\"\n" + speed);
  ASSERT_TRUE(plan) << folder.said;
  EXPECT_EQ(jobs_of(*plan, 0), std::vector<std::string>{"prompt_throughput"});
  EXPECT_NE(plan->jobs[0].spec.find("\"precision\":\"bfloat16\""), std::string::npos);
  EXPECT_FALSE(folder.plan(head + speed + kTestEvaluation));
  EXPECT_NE(folder.said.find("[train] lacks 'tokens'"), std::string::npos) << folder.said;
}

const std::string kLlama =
    R"({"hidden_size":64,"intermediate_size":160,"model_type":"llama","num_attention_heads":4,"num_hidden_layers":2,)"
    R"("num_key_value_heads":2,"rms_norm_eps":1e-05,"rope_theta":10000.0,"tie_word_embeddings":false,"vocab_size":257})";

class FolderOfWeights : public testing::Test {
 protected:
  FolderOfWeights() {
    fs::create_directories(folder_.path() / "data/weights/llama");
    replace_file(weights_ / "config.json", kLlama);
    replace_file(weights_ / "model.safetensors", "weights");
    folder_.context.cache = (folder_.path() / "cache").string();
  }
  Plan plan(const std::string& more = "") {
    const auto plan = folder_.plan(
        "[sweep]\nname = \"folder\"\n[data]\nvalidation = \"text/validation.manifest\"\n[model]\n"
        "checkpoint = \"weights/llama\"\n" +
        more + kTestEvaluation);
    EXPECT_TRUE(plan) << folder_.said;
    return plan ? *plan : Plan{};
  }
  SweepFolder folder_;
  fs::path weights_ = folder_.path() / "data/weights/llama";
};

TEST_F(FolderOfWeights, IsEvaluatedWithoutTraining) {
  const Plan first = plan();
  ASSERT_EQ(jobs_of(first, 0), std::vector<std::string>{"perplexity"});
  const auto job = std::get<EvaluateJob>(parse_job(first.jobs[0].spec));
  EXPECT_EQ(job.checkpoint_digest.size(), 32U);
  ASSERT_TRUE(job.model);
  EXPECT_EQ(job.model->parameters(), first.jobs[0].estimate.parameters);
  EXPECT_EQ(first.jobs[0].estimate.parameters, 2 * 257 * 64 + 64 + 2 * (2 * 64 + 64 * 64 * 3 + 3 * 64 * 160));
  EXPECT_TRUE(first.features.contains(kFolderFeature));
}

TEST_F(FolderOfWeights, IsKnownByItsContents) {
  const std::string before = plan().jobs.at(0).id;
  EXPECT_EQ(plan().jobs.at(0).id, before);
  fs::rename(weights_ / "model.safetensors", weights_ / "other.safetensors");
  const std::string renamed = plan().jobs.at(0).id;
  EXPECT_NE(renamed, before);
  replace_file(weights_ / "other.safetensors", "other weights");
  EXPECT_NE(plan().jobs.at(0).id, renamed);
  fs::remove_all(weights_);
  const Plan gone = plan();
  EXPECT_TRUE(gone.jobs.at(0).provisional);
  EXPECT_EQ(gone.missing.size(), 1U);
}

TEST_F(FolderOfWeights, CanHaveItsArchitectureFromTheSweep) {
  EXPECT_NE(plan("use = \"attention\"\n").jobs.at(0).spec.find("\"tied_head\":true"), std::string::npos);
}

TEST(ForeignWorker, IsPartOfTheIdentity) {
  SweepFolder folder;
  const auto worker = [&](int version) {
    return fmt::format("[worker]\ncommand = [\"python\", \"train.py\"]\nversion = {}\n", version);
  };
  const Plan ours = folder.sound(kTestEvaluation);
  const Plan theirs = folder.sound(kTestEvaluation + worker(1));
  EXPECT_NE(theirs.jobs[0].id, ours.jobs[0].id);
  EXPECT_NE(theirs.jobs[1].id, ours.jobs[1].id);
  EXPECT_NE(folder.sound(kTestEvaluation + worker(2)).jobs[0].id, theirs.jobs[0].id);
  EXPECT_EQ(theirs.worker_command, (std::vector<std::string>{"python", "train.py"}));
  EXPECT_TRUE(theirs.features.empty());
  EXPECT_EQ(theirs.jobs[0].estimate.parameters, ours.jobs[0].estimate.parameters);
}

TEST(ForeignWorker, CanHaveAModelOfItsOwn) {
  SweepFolder folder;
  const std::string worker = "[worker]\ncommand = [\"python\", \"train.py\"]\nversion = 1\n";
  const Plan plan = folder.sound(worker + "[[axis]]\nmodel.depth = [2, 3]\n", kTestTrain,
                                 "[model]\ntaps = [3, 5]\nkind = { name = \"x\" }\n");
  ASSERT_EQ(plan.jobs.size(), 2U);
  EXPECT_NE(plan.jobs[1].spec.find(R"("model":{"options":{"depth":3,"kind":{"name":"x"},"taps":[3,5]}})"),
            std::string::npos)
      << plan.jobs[1].spec;
}

}  // namespace
}  // namespace mestre
