// Every task by its description: names, defaults, and how much it reads.

#include <gtest/gtest.h>

#include "core/spec/job.h"
#include "core/tasks/generation/options.h"
#include "core/tasks/multiple_choice/options.h"
#include "core/tasks/passkey/options.h"
#include "core/tasks/phonebook/options.h"
#include "core/tasks/sliding_perplexity/options.h"
#include "core/tasks/throughput/options.h"

namespace mestre {
namespace {

std::vector<std::string> problems_of(const TaskOptions& options) {
  std::vector<std::string> fields;
  options.check([&](std::string_view field, const std::string&, const std::string&) { fields.emplace_back(field); });
  return fields;
}

// Gives every required list one element that is allowed, as the shortest sweep would.
class RequiredFiller final : public OptionVisitor {
 public:
  void visit(const Field&, bool&) override {}
  void visit(const Field&, std::int64_t&) override {}
  void visit(const Field&, double&) override {}
  void visit(const Field&, std::string&) override {}
  void visit(const Field& field, std::vector<std::int64_t>& value) override {
    if (field.required) value = {8192};
  }
  void visit(const Field&, std::vector<std::string>&) override {}
};

std::unique_ptr<TaskOptions> shortest_request(const TaskType& type) {
  std::unique_ptr<TaskOptions> options = type.make();
  RequiredFiller filler;
  options->describe(filler);
  TrainOptions train;
  train.sequence_length = 4096;
  train.sequences_per_step = 512;
  options->resolve(train);
  return options;
}

TEST(Tasks, HaveNamesOfTheirOwn) {
  for (const TaskType& type : task_types()) {
    EXPECT_EQ(type.make()->type(), type.name);
    EXPECT_EQ(find_task_type(type.name), &type) << type.name;
    EXPECT_EQ(type.make()->clone()->type(), type.name);
    EXPECT_GE(type.make()->version(), 1) << type.name;
  }
  EXPECT_EQ(task_type_names(TaskKind::kEvaluation).size() + task_type_names(TaskKind::kMeasurement).size(),
            task_types().size());
}

TEST(Tasks, AreSoundByDefault) {
  for (const TaskType& type : task_types())
    EXPECT_EQ(problems_of(*shortest_request(type)), std::vector<std::string>{}) << type.name;
}

TEST(Tasks, NameItemsWhereTheyReadThem) {
  for (const TaskType& type : task_types())
    EXPECT_EQ(type.make()->items(),
              type.text == TaskText::kItems ? "benchmarks/" + std::string(type.name) + ".manifest" : "")
        << type.name;
}

TEST(Tasks, ReadSomething) {
  constexpr std::int64_t kCorpus = 1'000'000;
  for (const TaskType& type : task_types()) {
    const std::unique_ptr<TaskOptions> options = shortest_request(type);
    EXPECT_GT(options->tokens(kCorpus), 0) << type.name;
    EXPECT_GT(options->longest(), 0) << type.name;
  }
}

TEST(Tasks, SurviveTheirCanonicalJson) {
  for (const TaskType& type : task_types()) {
    const std::unique_ptr<TaskOptions> options = shortest_request(type);
    const std::string json = canonical_json(static_cast<const Options&>(*options));
    const std::unique_ptr<TaskOptions> again = type.make();
    read_options(json, *again, type.name);
    EXPECT_EQ(canonical_json(static_cast<const Options&>(*again)), json) << type.name;
  }
}

TEST(SlidingPerplexity, ReadsWhatItsPassesRead) {
  SlidingPerplexityOptions options;
  options.lengths = {4, 10};
  options.window = 4;
  for (const std::int64_t corpus : {1, 4, 5, 8, 10, 11, 14, 15, 100}) {
    double read = 0;
    for (const std::int64_t length : options.lengths) {
      read += static_cast<double>(length);
      for (std::int64_t scored = length; scored < corpus; scored += options.window) read += static_cast<double>(length);
    }
    EXPECT_EQ(options.tokens(corpus), read) << corpus;
  }
  options.text = 12;
  EXPECT_EQ(options.tokens(100), 4 * 3 + 10 * 2);
  EXPECT_EQ(options.tokens(0), 4 * 3 + 10 * 2) << "a corpus that is not there has the text asked for";
}

TEST(SlidingPerplexity, WantsAWindowThatFits) {
  SlidingPerplexityOptions options;
  options.lengths = {2048, 4096};
  EXPECT_EQ(problems_of(options), std::vector<std::string>{"window"});
  options.window = 2048;
  options.text = 1024;
  EXPECT_EQ(problems_of(options), std::vector<std::string>{"text"});
}

TEST(Passkey, ReadsEveryDocumentOfItsGrid) {
  PasskeyOptions options;
  options.lengths = {4096, 8192};
  EXPECT_EQ(options.tokens(0), (4096 + 8192) * 11 * 5);
  EXPECT_EQ(options.longest(), 8192);
}

TEST(Phonebook, IsAsLongAsTheStudySays) {
  PhonebookOptions options;
  options.pairs = {20};
  EXPECT_EQ(options.longest(), 400);
  options.pairs = {20, 480};
  EXPECT_EQ(options.longest(), 8400);
  EXPECT_EQ(options.tokens(0), (400 + 8400) * 100);
  options.shots = 20;
  EXPECT_EQ(problems_of(options), std::vector<std::string>{"shots"});
}

TEST(MultipleChoice, HasTheStudysDefaults) {
  EXPECT_EQ(MultipleChoiceOptions(kMmlu).shots, 5);
  EXPECT_EQ(MultipleChoiceOptions(kHellaswag).normalization, "characters");
  EXPECT_EQ(MultipleChoiceOptions(kPiqa).normalization, "none");
  MultipleChoiceOptions piqa(kPiqa);
  piqa.limit = 10;
  EXPECT_EQ(piqa.tokens(0), 10 * 2 * 45);
  piqa.shots = 3;
  EXPECT_EQ(piqa.tokens(0), 10 * 2 * 45 * 4);
}

TEST(Generation, KnowsWhereExamplesOfGsm8kCanComeFrom) {
  GenerationOptions gsm8k(kGsm8k);
  gsm8k.examples = "chain_of_thought";
  gsm8k.shots = 8;
  EXPECT_EQ(problems_of(gsm8k), std::vector<std::string>{});
  gsm8k.shots = 9;
  EXPECT_EQ(problems_of(gsm8k), std::vector<std::string>{"shots"});
  EXPECT_NE(canonical_json(static_cast<const Options&>(gsm8k)).find("examples"), std::string::npos);
  EXPECT_EQ(canonical_json(static_cast<const Options&>(GenerationOptions(kSquad))).find("examples"), std::string::npos);
}

TEST(Generation, RefusesSamplesThatAreAllTheSame) {
  GenerationOptions options(kGsm8k);
  options.samples = 4;
  EXPECT_EQ(problems_of(options), std::vector<std::string>{"samples"});
  options.temperature = 0.2;
  EXPECT_EQ(problems_of(options), std::vector<std::string>{});
}

TEST(Throughput, TrainsAsItsCellDoes) {
  TrainOptions train;
  train.sequence_length = 16384;
  train.sequences_per_step = 128;
  TrainingThroughputOptions options;
  options.resolve(train);
  EXPECT_EQ(options.sequence_length, 16384);
  EXPECT_EQ(options.longest(), 16384);
  EXPECT_EQ(options.tokens(0), 16384.0 * 128 * 12);
  options.sequences_per_step = 8;
  options.resolve(train);
  EXPECT_EQ(options.sequences_per_step, 8);
}

TEST(Throughput, ReadsWholePrompts) {
  PromptThroughputOptions options;
  options.lengths = {1024, 131072};
  EXPECT_EQ(problems_of(options), std::vector<std::string>{});
  EXPECT_EQ(options.tokens(0), 131072.0 * 11 * 2);
  options.lengths = {1000};
  EXPECT_EQ(problems_of(options), std::vector<std::string>{"lengths"});
}

}  // namespace
}  // namespace mestre
