#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/options.h"
#include "core/spec/job.h"
#include "core/tasks/perplexity/options.h"

namespace mestre {
namespace {

TrainJob samba() {
  TrainJob job;
  job.model.options.width = 1536;
  job.model.options.vocabulary = 32000;
  job.model.options.layers = {"mamba", "mlp", "swa", "mlp"};
  job.model.options.repeat = 6;
  auto attention = std::make_unique<AttentionOptions>();
  attention->heads = 12;
  attention->window = 2048;
  auto mlp = std::make_unique<MlpOptions>();
  mlp->intermediate = 4096;
  job.model.instances.emplace("mamba", std::make_unique<MambaOptions>());
  job.model.instances.emplace("swa", std::move(attention));
  job.model.instances.emplace("mlp", std::move(mlp));
  job.model.resolve(32000);
  job.train.tokens = 1000;
  job.train.sequence_length = 10;
  job.train.sequences_per_step = 3;
  job.data = {.digest = "d", .tokenizer = "bytes", .tokenizer_version = 1, .vocabulary = 257};
  return job;
}

TEST(Model, TheStudysSambaHas421MParameters) {
  EXPECT_EQ(samba().model.parameters(), 421'793'280);
  EXPECT_EQ(samba().model.parameters() - samba().model.parameters_without_embeddings(), 32000 * 1536);
}

TEST(Model, VisibleKeysCountTheMask) {
  AttentionOptions attention;
  attention.window = 3;
  // 1, 2, 3, 3, 3 keys
  EXPECT_DOUBLE_EQ(attention.mean_visible_keys(5), 12.0 / 5);
  attention.window = 0;
  EXPECT_DOUBLE_EQ(attention.mean_visible_keys(5), 3);
}

TEST(Train, StepsCoverTheBudget) {
  EXPECT_EQ(samba().train.tokens_per_step(), 30);
  EXPECT_EQ(samba().train.steps(), 34);
}

TEST(Job, ReadsBackToTheSameBytes) {
  const std::string train = canonical_spec(Job(samba()));
  EXPECT_EQ(canonical_spec(parse_job(train)), train);
  EvaluateJob evaluate{
      .checkpoint_job = job_id(train), .task = std::make_unique<PerplexityOptions>(), .data = samba().data};
  static_cast<PerplexityOptions&>(*evaluate.task).lengths = {256, 512};
  const std::string text = canonical_spec(Job(std::move(evaluate)));
  EXPECT_EQ(canonical_spec(parse_job(text)), text);
}

TEST(Job, WhatIsWrongIsNamed) {
  const std::string train = canonical_spec(Job(samba()));
  const auto message = [](std::string text, const std::string& what, const std::string& by) {
    text.replace(text.find(what), what.size(), by);
    try {
      (void)parse_job(text);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_NE(message(train, "\"beta1\"", "\"beta3\"").find("beta1"), std::string::npos);
  EXPECT_NE(message(train, "\"width\":1536", "\"width\":\"x\"").find("model.options.width is not a whole number"),
            std::string::npos);
  EXPECT_NE(message(train, "\"sampler\":1", "\"sampler\":2").find("versions"), std::string::npos);
  EXPECT_NE(message(train, "\"format\":1", "\"format\":9").find("format 9"), std::string::npos);
}

}  // namespace
}  // namespace mestre
