// The parts of training against plain formulas.

#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/journal/folders.h"
#include "core/tasks/perplexity/run.h"
#include "core/train/adamw.h"
#include "core/train/batches.h"
#include "core/train/lineage.h"
#include "core/train/schedule.h"
#include "tests/tolerances.h"
#include "tests/worker_jobs.h"

namespace mestre {
namespace {

TrainOptions some_options() {
  TrainOptions options;
  options.sequence_length = 10;
  options.sequences_per_step = 10;
  options.tokens = 100 * 200;  // 200 steps
  options.learning_rate = 1e-2;
  options.final_learning_rate = 0.1;
  options.warmup = 0.05;
  return options;
}

TEST(Schedule, WarmsUpLinearlyThenFollowsACosine) {
  const TrainOptions options = some_options();
  EXPECT_DOUBLE_EQ(learning_rate(options, 1), 1e-3);
  EXPECT_DOUBLE_EQ(learning_rate(options, 5), 5e-3);
  EXPECT_DOUBLE_EQ(learning_rate(options, 10), 1e-2);
  EXPECT_DOUBLE_EQ(learning_rate(options, 105), 1e-2 * (0.1 + 0.9 * 0.5));
  EXPECT_DOUBLE_EQ(learning_rate(options, 200), 1e-3);
  for (std::int64_t update = 11; update <= 200; ++update)
    EXPECT_LT(learning_rate(options, update), learning_rate(options, update - 1));
}

TEST(Schedule, StaysAtThePeakWhereItIsConstant) {
  TrainOptions options = some_options();
  options.schedule = "constant";
  EXPECT_DOUBLE_EQ(learning_rate(options, 5), 5e-3);
  EXPECT_DOUBLE_EQ(learning_rate(options, 11), 1e-2);
  EXPECT_DOUBLE_EQ(learning_rate(options, 200), 1e-2);
}

TEST(Schedule, StaysThenCoolsDown) {
  TrainOptions options = some_options();
  options.schedule = "wsd";
  options.cooldown = 0.25;
  EXPECT_DOUBLE_EQ(learning_rate(options, 5), 5e-3);
  EXPECT_DOUBLE_EQ(learning_rate(options, 10), 1e-2);
  EXPECT_DOUBLE_EQ(learning_rate(options, 150), 1e-2);
  EXPECT_DOUBLE_EQ(learning_rate(options, 175), 1e-2 * (0.1 + 0.9 * 0.5));
  EXPECT_DOUBLE_EQ(learning_rate(options, 200), 1e-3);
  options.cooldown_shape = "sqrt";
  EXPECT_DOUBLE_EQ(learning_rate(options, 150), 1e-2);
  EXPECT_DOUBLE_EQ(learning_rate(options, 175), 1e-2 * (0.1 + 0.9 * (1 - std::sqrt(0.5))));
  EXPECT_DOUBLE_EQ(learning_rate(options, 200), 1e-3);
  options.cooldown = 0;
  EXPECT_DOUBLE_EQ(learning_rate(options, 200), 1e-2);
}

TEST(Schedule, WarmsUpOverTokens) {
  TrainOptions options = some_options();
  options.warmup_tokens = 40 * options.tokens_per_step() - 1;
  EXPECT_DOUBLE_EQ(learning_rate(options, 20), 5e-3);
  EXPECT_DOUBLE_EQ(learning_rate(options, 40), 1e-2);
}

TEST(Schedule, NeedsNoWarmUp) {
  TrainOptions options = some_options();
  options.warmup = 0;
  EXPECT_NEAR(learning_rate(options, 1), 1e-2, tolerance::kRate);
  options.warmup = 1;
  EXPECT_DOUBLE_EQ(learning_rate(options, 200), 1e-2);
}

class TwoParameters : public torch::nn::Module {
 public:
  TwoParameters() {
    at::manual_seed(11);
    a = register_parameter("a", at::randn({37, 5}));
    b = register_parameter("b", at::randn({70001}));  // several chunks, the last one ragged
  }
  at::Tensor a, b;
};

TEST(AdamWUpdates, MatchThePlainFormulaInDouble) {
  TwoParameters model;
  TrainOptions options = some_options();
  options.clip_norm = 1.5;
  at::Tensor w = at::cat({model.a.detach().flatten(), model.b.detach()}).to(at::kDouble);
  at::Tensor m = at::zeros_like(w), v = at::zeros_like(w);
  AdamW optimizer(model, options);
  for (int t = 1; t <= 5; ++t) {
    const double rate = 1e-2 / t, size = t < 3 ? 0.1 : 1e-4;  // the first are clipped, the last are not
    const at::Tensor gradient = at::randn({w.numel()}) * size;
    optimizer.zero_gradients();
    model.a.mutable_grad().add_(gradient.narrow(0, 0, 185).view({37, 5}));
    model.b.mutable_grad().add_(gradient.narrow(0, 185, 70001));

    at::Tensor g = gradient.to(at::kDouble);
    const double norm = g.norm().item<double>();
    EXPECT_NEAR(optimizer.gradient_norm(), norm, tolerance::kSum * norm);
    EXPECT_EQ(norm > options.clip_norm, t < 3);
    if (norm > options.clip_norm) g = g * (options.clip_norm / norm);
    m = options.beta1 * m + (1 - options.beta1) * g;
    v = options.beta2 * v + (1 - options.beta2) * g * g;
    const at::Tensor step =
        (m / (1 - std::pow(options.beta1, t))) / ((v / (1 - std::pow(options.beta2, t))).sqrt() + options.epsilon);
    w = (1 - rate * options.weight_decay) * w - rate * step;
    optimizer.update(rate, optimizer.gradient_norm());
  }
  const at::Tensor ours = at::cat({model.a.detach().flatten(), model.b.detach()}).to(at::kDouble);
  EXPECT_LE((ours - w).abs().max().item<double>(), tolerance::kFloat);
  EXPECT_EQ(optimizer.updates(), 5);
}

class ThreeRoles : public torch::nn::Module {
 public:
  ThreeRoles() {
    at::manual_seed(12);
    for (const char* name : {"embedding", "norm", "out"}) {
      const auto child = register_module(name, std::make_shared<torch::nn::Module>());
      weights.push_back(child->register_parameter("weight", at::randn({64})));
    }
  }
  std::vector<at::Tensor> weights;
};

TEST(AdamWUpdates, FollowTheRulesOfRoles) {
  const auto one_update = [](const TrainOptions& options) {
    ThreeRoles model;
    AdamW optimizer(model, options);
    for (const at::Tensor& weight : model.weights) weight.mutable_grad().fill_(0.5);
    optimizer.update(1e-2, 0);
    std::vector<at::Tensor> updated;
    for (const at::Tensor& weight : model.weights) updated.push_back(weight.detach().clone());
    return updated;
  };
  TrainOptions plain = some_options(), slower = plain, undecayed = plain, ruled = plain;
  slower.learning_rate_factors = {"embedding: 0.25", "norm: 0.25", "matrix: 0.25"};
  undecayed.weight_decay = 0;
  ruled.learning_rate_factors = {"embedding:0.25"};
  ruled.no_weight_decay = {"bias", "norm"};
  const auto updated = one_update(ruled);
  EXPECT_TRUE(at::equal(updated[0], one_update(slower)[0]));
  EXPECT_TRUE(at::equal(updated[1], one_update(undecayed)[1]));
  EXPECT_TRUE(at::equal(updated[2], one_update(plain)[2]));
  EXPECT_FALSE(at::equal(updated[0], one_update(plain)[0]));
  EXPECT_FALSE(at::equal(updated[1], one_update(plain)[1]));
}

// One pass over the longest length must score the shorter ones as passes of their own would.
TEST(Perplexity, ScoresPrefixesAsIfTheyStoodAlone) {
  const WorkerJobs jobs;
  const TrainJob job = jobs.small_training();
  LanguageModel model(job.model);
  model.initialize(4);
  const at::NoGradGuard no_gradient;
  const PackedCorpus corpus(jobs.path() / "data/words.manifest");
  PerplexityOptions options;
  options.lengths = {5, 16, 40};
  options.blocks = 7;
  const fs::path folder = jobs.path() / "evaluation";
  fs::create_directories(attempt_folder(folder, 1));
  {
    JournalWriter journal(attempt_folder(folder, 1) / "journal.jsonl");
    const JobContext context = {.folder = folder,
                                .id = "evaluation",
                                .attempt = 1,
                                .launch = {},
                                .journal = &journal,
                                .asked_to_stop = [] { return false; },
                                .log = [](const std::string&) {}};
    Evaluation evaluation = {.model = model, .corpus = corpus, .context = context};
    run_perplexity(options, evaluation);
    EXPECT_EQ(evaluation.tokens, 7 * 40);
  }
  const std::vector<double> scored = lines_of(folder, 1, "measurement").at(1).measured;
  const std::vector<std::int64_t> tokens = jobs.tokens();
  for (std::size_t i = 0; i < options.lengths.size(); ++i) {
    double sum = 0;
    for (std::int64_t block = 0; block < 7; ++block) {
      const std::int64_t begin = block * 41;
      const Batch batch = read_blocks(corpus, std::span(&begin, 1), options.lengths[i]);
      EXPECT_EQ(batch.targets[0][0].item<std::int64_t>(), tokens[static_cast<std::size_t>(begin + 1)]);
      sum += mean_loss(model.forward(batch.tokens), batch.targets).item<double>();
    }
    EXPECT_NEAR(scored[i], sum / 7, tolerance::kScore) << "length " << options.lengths[i];
  }
}

TEST(Perplexity, RefusesATextWithTooFewBlocks) {
  const WorkerJobs jobs;
  LanguageModel model(jobs.small_training().model);
  const PackedCorpus corpus(jobs.path() / "data/words.manifest");
  const JobContext context;
  Evaluation evaluation = {.model = model, .corpus = corpus, .context = context};
  PerplexityOptions options;
  options.lengths = {6000};
  EXPECT_THROW(run_perplexity(options, evaluation), Error);
  options.lengths = {1000};
  options.blocks = 6;
  EXPECT_THROW(run_perplexity(options, evaluation), Error);
}

class Lineage : public testing::Test {
 protected:
  void attempt(int number, std::optional<std::int64_t> restored, const std::vector<std::int64_t>& saved) const {
    fs::create_directories(attempt_folder(folder_.path(), number));
    JournalWriter journal(attempt_folder(folder_.path(), number) / "journal.jsonl");
    if (!restored) return;
    const Restored from = {.file = "x", .digest = "y", .step = *restored};
    journal.started("job", number, *restored == 0 ? nullptr : &from, 100);
    for (const std::int64_t step : saved) journal.checkpoint(step, checkpoint_name(step), std::to_string(number));
  }
  [[nodiscard]] std::vector<std::pair<std::int64_t, int>> usable(int before) const {
    std::vector<std::pair<std::int64_t, int>> found;
    for (const Checkpoint& each : usable_checkpoints(folder_.path(), before))
      found.emplace_back(each.step, each.attempt);
    return found;
  }
  TestFolder folder_;
};

using Found = std::vector<std::pair<std::int64_t, int>>;

TEST_F(Lineage, NewestFirstOfAllEarlierAttempts) {
  attempt(1, 0, {10, 20});
  attempt(2, 20, {30});
  attempt(3, 30, {40});
  EXPECT_EQ(usable(4), (Found{{40, 3}, {30, 2}, {20, 1}, {10, 1}}));
  EXPECT_EQ(usable(3), (Found{{30, 2}, {20, 1}, {10, 1}}));
  EXPECT_EQ(usable(1), Found{});
}

// Attempt 2 went back to step 10, so the points of attempt 1 after it are superseded; going on from its step 20 would
// leave a gap.
TEST_F(Lineage, WhatALaterAttemptWentBackBehindIsSuperseded) {
  attempt(1, 0, {10, 20});
  attempt(2, 10, {15});
  EXPECT_EQ(usable(3), (Found{{15, 2}, {10, 1}}));
}

TEST_F(Lineage, AnAttemptThatStartedAfreshSupersedesAll) {
  attempt(1, 0, {10, 20});
  attempt(2, 0, {});
  EXPECT_EQ(usable(3), Found{});
}

TEST_F(Lineage, AnAttemptThatNeverStartedSupersedesNothing) {
  attempt(1, 0, {10});
  attempt(2, std::nullopt, {});
  fs::create_directories(attempt_folder(folder_.path(), 3));
  EXPECT_EQ(usable(4), (Found{{10, 1}}));
}

}  // namespace
}  // namespace mestre
