#include <set>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/options.h"
#include "core/mixers/registry.h"
#include "core/spec/job.h"
#include "core/tasks/perplexity/options.h"

namespace mestre {
namespace {

ModelSpec small_samba() {
  ModelSpec model;
  model.options.width = 64;
  model.options.layers = {"mamba", "mlp", "swa", "mlp"};
  model.options.repeat = 2;
  auto swa = std::make_unique<AttentionOptions>();
  swa->heads = 2;
  swa->window = 16;
  auto mlp = std::make_unique<MlpOptions>();
  mlp->intermediate = 96;
  model.instances["mamba"] = std::make_unique<MambaOptions>();
  model.instances["swa"] = std::move(swa);
  model.instances["mlp"] = std::move(mlp);
  model.resolve(257);
  return model;
}

DataIdentity corpus() {
  return {.digest = std::string(32, 'a'), .tokenizer = "bytes", .tokenizer_version = 1, .vocabulary = 257};
}

Job train_job() {
  TrainJob job{.model = small_samba(), .train = {}, .data = corpus()};
  job.train.tokens = 4096;
  job.train.sequence_length = 64;
  job.train.sequences_per_step = 4;
  return job;
}

Job evaluate_job() {
  EvaluateJob job{
      .checkpoint_job = std::string(32, 'b'), .task = std::make_unique<PerplexityOptions>(), .data = corpus()};
  static_cast<PerplexityOptions&>(*job.task).lengths = {64, 128};
  return job;
}

Job stage_job() {
  auto job = std::get<TrainJob>(train_job());
  job.from = std::string(32, 'c');
  job.data.digest.clear();
  job.data.task = "passkey";
  job.data.task_version = 1;
  return job;
}

Job folder_job() {
  Job job = evaluate_job();
  auto& evaluation = std::get<EvaluateJob>(job);
  evaluation.checkpoint_job.clear();
  evaluation.checkpoint_digest = std::string(32, 'd');
  evaluation.model = small_samba();
  return job;
}

TEST(Job, ReadsBackWhatItWrote) {
  std::vector<Job> jobs;
  jobs.push_back(train_job());
  jobs.push_back(evaluate_job());
  jobs.push_back(stage_job());
  jobs.push_back(folder_job());
  std::set<std::string> ids;
  for (const Job& job : jobs) {
    const std::string spec = canonical_spec(job);
    EXPECT_EQ(canonical_spec(parse_job(spec)), spec);
    EXPECT_EQ(job_id(spec).size(), 32U);
    ids.insert(job_id(spec));
  }
  EXPECT_EQ(ids.size(), jobs.size());
}

TEST(Job, SaysWhatAWorkerMustBeAbleToDo) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(features_of(train_job()), (Words{"mixer attention", "mixer mamba", "mixer mlp", "precision float32"}));
  EXPECT_EQ(features_of(stage_job()), (Words{"mixer attention", "mixer mamba", "mixer mlp", "precision float32",
                                             "stages", "text made by tasks"}));
  EXPECT_EQ(features_of(evaluate_job()), Words{"task perplexity"});
}

TEST(Job, IdentityIsFrozen) {
  // Finished work is found by these ids. A change here throws away the results of every user.
  EXPECT_EQ(
      canonical_spec(evaluate_job()),
      R"({"checkpoint":{"job":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},"data":{"digest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","tokenizer":"bytes",)"
      R"("tokenizer_version":1,"vocabulary":257},"format":1,"kind":"evaluate","options":{"blocks":0,"lengths":[64,128]},"task":"perplexity",)"
      R"("versions":{"perplexity":1}})");
  EXPECT_EQ(
      canonical_spec(train_job()).substr(0, 150),
      R"({"data":{"digest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","tokenizer":"bytes","tokenizer_version":1,"vocabulary":257},"format":1,"kind":"train","model":{"i)");
}

void expect_refused(const std::string& spec, const std::string& part) {
  try {
    (void)parse_job(spec);
    FAIL() << "accepted: " << spec;
  } catch (const Error& error) {
    EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
  }
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, what.size(), by);
}

TEST(Job, SaysWhatIsWrongWithASpec) {
  const std::string good = canonical_spec(train_job());
  expect_refused("", "cannot be read");
  expect_refused("[]", "the spec");
  expect_refused(replaced(good, "\"kind\":\"train\"", "\"kind\":\"dance\""), "dance");
  expect_refused(replaced(good, "\"format\":1", "\"format\":99"), "format 99");
  expect_refused(replaced(good, "\"width\":64", "\"width\":\"64\""), "width");
  expect_refused(replaced(good, ",\"width\":64", ""), "width");
  expect_refused(replaced(good, "\"width\":64", "\"width\":64,\"depth\":3"), "depth");
  expect_refused(replaced(good, "\"type\":\"mlp\"", "\"type\":\"mlq\""), "mlq");
  expect_refused(replaced(good, "\"mamba\":1", "\"mamba\":2"), "versions");
  expect_refused(replaced(good, "\"versions\":", "\"worker\":{\"version\":1},\"versions\":"), "[worker]");
}

TEST(Model, CountsItsParametersByHand) {
  // Per layer: the norm's 64, then what the mixer's README says.
  const std::int64_t attention = 4 * 64 * 64;
  const std::int64_t mlp = 3 * 64 * 96;
  const std::int64_t e = 128;
  const std::int64_t mamba = 64 * 2 * e + (e * 4 + e) + e * (4 + 2 * 16) + (4 * e + e) + (e * 16 + e) + e * 64;
  const ModelSpec model = small_samba();
  EXPECT_EQ(model.parameters_without_embeddings(), 2 * (attention + mamba + 2 * mlp + 4 * 64) + 64);
  EXPECT_EQ(model.parameters(), model.parameters_without_embeddings() + 257 * 64);
  ModelSpec untied = model;
  untied.options.tied_head = false;
  EXPECT_EQ(untied.parameters(), model.parameters() + 257 * 64);
}

TEST(Model, CountsItsBlocks) {
  ModelSpec model = small_samba();
  EXPECT_EQ(model.options.layers_per_block, 2);
  EXPECT_EQ(model.blocks(), 4);
  const auto length = [](std::vector<std::string> layers) {
    ModelOptions options;
    options.layers = std::move(layers);
    return options.block_length();
  };
  EXPECT_EQ(length({"mamba"}), 1);
  EXPECT_EQ(length({"mamba", "mlp"}), 2);
  EXPECT_EQ(length({"mamba", "swa", "mlp"}), 3);
  model.options.layers_per_block = 4;
  EXPECT_EQ(model.blocks(), 2);
}

TEST(Attention, CountsThePairsThatTheMaskLeaves) {
  AttentionOptions options;
  options.heads = 1;
  for (const std::int64_t window : {0, 1, 3, 7, 100}) {
    options.window = window;
    for (const std::int64_t length : {1, 2, 3, 8, 50}) {
      std::int64_t pairs = 0;
      for (std::int64_t t = 0; t < length; ++t) pairs += window > 0 ? std::min(window, t + 1) : t + 1;
      EXPECT_DOUBLE_EQ(options.mean_visible_keys(length), static_cast<double>(pairs) / static_cast<double>(length))
          << window << " " << length;
    }
  }
}

TEST(Attention, ReportsHeadsThatDoNotFit) {
  AttentionOptions options;
  options.heads = 5;
  std::vector<std::string> fields;
  const auto note = [&](std::string_view field, const std::string&, const std::string&) { fields.emplace_back(field); };
  options.check({.width = 96, .vocabulary = 257}, note);
  EXPECT_EQ(fields, std::vector<std::string>{"heads"});
  options.heads = 6;
  options.kv_heads = 4;
  fields.clear();
  options.check({.width = 96, .vocabulary = 257}, note);
  EXPECT_EQ(fields, std::vector<std::string>{"kv_heads"});
}

TEST(Registry, NamesAreTheTypesOfTheirOptions) {
  for (const MixerType& type : mixer_types()) EXPECT_EQ(type.make()->type(), type.name);
  for (const TaskType& type : task_types()) EXPECT_EQ(type.make()->type(), type.name);
  EXPECT_EQ(find_mixer_type("attentoin"), nullptr);
}

TEST(Perplexity, CountsWholeBlocksOfTheText) {
  PerplexityOptions options;
  options.lengths = {64, 128};
  EXPECT_EQ(options.tokens(129 * 10 + 128), 10.0 * 128);
  options.blocks = 4;
  EXPECT_EQ(options.tokens(129 * 10), 4.0 * 128);
}

}  // namespace
}  // namespace mestre
