// Properties of planning over random sweeps. RapidCheck prints the seed of a failure; RC_PARAMS="seed=…" repeats it.

#include <algorithm>
#include <random>

#include <gtest/gtest.h>
// after gtest.h, which it needs
#include <rapidcheck/gtest.h>

#include "core/plan/plan_test_sweep.h"
#include "core/spec/model.h"
#include "core/spec/option_schema.h"

namespace mestre {
namespace {

// One for all properties: each plan replaces the sweep in it.
SweepFolder& shared_folder() {
  static SweepFolder folder;
  return folder;
}

// An axis over one option of [train], which no other axis of the same sweep touches.
struct RandomAxis {
  std::string option;
  std::vector<std::string> values;
};

const std::vector<std::string> kOptions = {"learning_rate", "weight_decay", "warmup", "epsilon", "seed_data"};

std::vector<RandomAxis> random_axes(std::size_t least = 0) {
  const auto count = *rc::gen::inRange<std::size_t>(least, kOptions.size());
  std::vector<RandomAxis> axes;
  for (std::size_t a = 0; a < count; ++a) {
    RandomAxis axis{.option = kOptions[a], .values = {}};
    const int size = *rc::gen::inRange(1, 5);
    for (int i = 0; i < size; ++i) axis.values.push_back(a == 4 ? std::to_string(i) : fmt::format("0.{}", i + 1));
    axes.push_back(std::move(axis));
  }
  return axes;
}

std::string toml(const std::vector<RandomAxis>& axes) {
  std::string text;
  for (const RandomAxis& axis : axes)
    text += fmt::format("[[axis]]\ntrain.{} = [{}]\n", axis.option, fmt::join(axis.values, ", "));
  return text;
}

// All names in the order in which nested loops would give them.
std::vector<std::string> all_names(const std::vector<RandomAxis>& axes) {
  std::vector<std::string> names = {""};
  for (const RandomAxis& axis : axes) {
    std::vector<std::string> longer;
    for (const std::string& name : names)
      for (const std::string& value : axis.values)
        longer.push_back(fmt::format("{}{}{}={}", name, name.empty() ? "" : ",", axis.option, value));
    names = std::move(longer);
  }
  if (axes.empty()) names = {"test"};
  return names;
}

RC_GTEST_PROP(PlanProperties, CellsAreTheProductInOrder, ()) {
  SweepFolder& folder = shared_folder();
  const std::vector<RandomAxis> axes = random_axes();
  RC_ASSERT(names_of(folder.sound(toml(axes))) == all_names(axes));
}

RC_GTEST_PROP(PlanProperties, ExclusionDropsExactlyWhatItNames, ()) {
  SweepFolder& folder = shared_folder();
  std::vector<RandomAxis> axes = random_axes(2);
  axes[1].values.emplace_back("0.9");  // so that a cell is left
  const std::string first = *rc::gen::elementOf(axes[0].values);
  const std::string second = *rc::gen::elementOf(axes[1].values);
  const Plan plan = folder.sound(toml(axes) + fmt::format("[[exclude]]\nwhere = {{ {} = {}, {} = [{}] }}\n",
                                                          axes[0].option, first, axes[1].option, second));
  std::vector<std::string> expected = all_names(axes);
  const std::string prefix = fmt::format("{}={},{}={}", axes[0].option, first, axes[1].option, second);
  std::erase_if(expected, [&](const std::string& name) { return name == prefix || name.starts_with(prefix + ","); });
  RC_ASSERT(names_of(plan) == expected);
}

RC_GTEST_PROP(PlanProperties, IdentityIgnoresOrderLabelsAndResources, ()) {
  SweepFolder& folder = shared_folder();
  const std::vector<RandomAxis> axes = random_axes();
  const Plan plan = folder.sound(toml(axes) + kTestEvaluation);
  std::mt19937 random(*rc::gen::arbitrary<unsigned>());

  std::vector<RandomAxis> shuffled = axes;
  std::shuffle(shuffled.begin(), shuffled.end(), random);
  for (RandomAxis& axis : shuffled) std::shuffle(axis.values.begin(), axis.values.end(), random);
  std::string relabelled;
  for (const RandomAxis& axis : shuffled) {
    std::vector<std::string> labels;
    for (std::size_t i = 0; i < axis.values.size(); ++i) labels.push_back(fmt::format("\"label {}\"", i));
    relabelled += fmt::format("[[axis]]\nname = \"axis of {0}\"\nlabels = [{1}]\ntrain.{0} = [{2}]\n", axis.option,
                              fmt::join(labels, ", "), fmt::join(axis.values, ", "));
  }
  std::vector<std::string> lines = {"tokens = 65536\n", "sequence_length = \"0.25Ki\"\n", "sequences_per_step = 8\n",
                                    "schedule = \"cosine\"\n"};
  std::shuffle(lines.begin(), lines.end(), random);
  std::string train = "[train]\n";
  for (const std::string& line : lines) train += line;
  const Plan other = folder.sound("[resources]\nthreads = 2\nmicro_batch = 4\n" + relabelled + kTestEvaluation, train);
  RC_ASSERT(ids_of(plan, "train") == ids_of(other, "train"));
  RC_ASSERT(ids_of(plan, "evaluate") == ids_of(other, "evaluate"));
}

RC_GTEST_PROP(PlanProperties, MoreValuesKeepEveryJob, ()) {
  SweepFolder& folder = shared_folder();
  std::vector<RandomAxis> axes = random_axes(1);
  const std::set<std::string> before = ids_of(folder.sound(toml(axes)), "train");
  axes[*rc::gen::inRange<std::size_t>(0, axes.size())].values.emplace_back(axes.back().option == "seed_data" ? "77"
                                                                                                             : "0.77");
  const Plan plan = folder.sound(toml(axes) + kTestEvaluation);
  const std::set<std::string> after = ids_of(plan, "train");
  RC_ASSERT(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  RC_ASSERT(after.size() == plan.cells.size());
}

// A sweep in one file, or its axes spread over a file and the one that it extends: the same plan.
RC_GTEST_PROP(PlanProperties, ExtendingIsMerging, ()) {
  SweepFolder& folder = shared_folder();
  const std::vector<RandomAxis> axes = random_axes(1);
  const auto split = static_cast<std::ptrdiff_t>(*rc::gen::inRange<std::size_t>(0, axes.size() + 1));
  std::vector<RandomAxis> parent(axes.begin(), axes.begin() + split);
  const std::vector<RandomAxis> own(axes.begin() + split, axes.end());
  std::string replaced;  // an axis of the parent's that the child has anew, in its place
  if (!parent.empty() && *rc::gen::arbitrary<bool>()) {
    replaced = toml({parent.front()});
    parent.front().values = {"0.9", "0.8"};
  }
  replace_file(folder.path() / "parent.toml",
               "[sweep]\nname = \"parent\"\n[train]\ntokens = \"1M\"\nsequence_length = 256\n" +
                   std::string(kTestData) + toml(parent) + kTestEvaluation);
  const std::optional<Plan> merged =
      folder.plan("extends = \"parent.toml\"\n[sweep]\nname = \"test\"\n[train]\nsteps = 32\nsequences_per_step = 8\n" +
                  std::string(kTestModel) + replaced + toml(own));
  RC_ASSERT(merged.has_value());
  const Plan whole = folder.sound(toml(axes) + kTestEvaluation);
  RC_ASSERT(names_of(*merged) == names_of(whole));
  RC_ASSERT(ids_of(*merged, "train") == ids_of(whole, "train"));
  RC_ASSERT(ids_of(*merged, "evaluate") == ids_of(whole, "evaluate"));
}

// Adding stages, evaluations and measurements keeps every training, and a job comes after those that it needs.
RC_GTEST_PROP(PlanProperties, WhatFollowsTheTrainingDoesNotChangeIt, ()) {
  SweepFolder& folder = shared_folder();
  const std::string axes = toml(random_axes());
  const std::set<std::string> before = ids_of(folder.sound(axes), "train");
  const int stages = *rc::gen::inRange(0, 4);
  std::string rest = kTestEvaluation;
  for (int s = 0; s < stages; ++s)
    rest += fmt::format(
        "[[stage]]\nname = \"stage {0}\"\ntrain.steps = {1}\n[[evaluate]]\nname = \"after {0}\"\n"
        "task = \"perplexity\"\ncheckpoint = \"stage {0}\"\nlengths = [128]\n",
        s, *rc::gen::inRange(1, 9));
  const Plan plan = folder.sound(axes + rest);
  const std::set<std::string> after = ids_of(plan, "train");
  RC_ASSERT(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  RC_ASSERT(after.size() == before.size() * static_cast<std::size_t>(1 + stages));
  for (std::size_t job = 0; job < plan.jobs.size(); ++job)
    for (const std::size_t other : plan.jobs[job].needs) RC_ASSERT(other < job);
}

// Another value than the default that the field allows, as TOML.
std::string another_value(const OptionField& field) {
  if (std::holds_alternative<std::vector<std::string>>(field.initial))
    return fmt::format("[\"{}\"]", field.field.choices.empty() ? "norm: 0.5" : field.field.choices.back());
  if (!field.field.choices.empty()) return fmt::format("\"{}\"", field.field.choices.back());
  if (const bool* flag = std::get_if<bool>(&field.initial)) return *flag ? "false" : "true";
  if (std::holds_alternative<std::int64_t>(field.initial)) return field.field.name == "tokens" ? "16384" : "32";
  if (std::holds_alternative<double>(field.initial)) return "0.375";
  return "\"x\"";
}

TEST(PlanProperties, EveryOptionOfTrainingIsIdentity) {
  SweepFolder& folder = shared_folder();
  const std::set<std::string> before = ids_of(folder.sound(""), "train");
  TrainOptions options;
  const OptionSchema schema(options);
  for (const OptionField& field : schema.fields()) {
    if (field.field.choices.size() == 1) continue;  // only one value so far
    const std::string key = fmt::format("[[axis]]\ntrain.{} = [{}]\n", field.field.name, another_value(field));
    EXPECT_NE(ids_of(folder.sound(key), "train"), before) << key;
  }
}

TEST(PlanProperties, EveryOptionOfAModelIsIdentity) {
  SweepFolder& folder = shared_folder();
  const std::set<std::string> before = ids_of(folder.sound(""), "train");
  for (const char* setting :
       {"width = 96", "repeat = 2", "vocabulary = 300", "tied_head = false", "norm_epsilon = 0.001",
        "initialization = \"scaled\"", "layers = [\"swa\", \"mamba\", \"mlp\", \"mlp\"]", "swa.heads = 4",
        "swa.kv_heads = 1", "swa.window = 17", "swa.rope = false", "swa.rope_base = 500", "mamba.expand = 3",
        "mamba.state = 8", "mamba.convolution = 3", "mamba.rank = 5", "mlp.intermediate = 130"})
    EXPECT_NE(ids_of(folder.sound("", kTestTrain, kTestModel + std::string(setting) + "\n"), "train"), before)
        << setting;
}

// Whatever a file holds, planning ends with a plan or with a message, never with a crash.
TEST(PlanProperties, SurvivesDamagedFiles) {
  SweepFolder& folder = shared_folder();
  const std::string good =
      "[sweep]\nname = \"test\"\nbaseline = { seed = 1 }\n" + std::string(kTestTrain) + kTestData + kTestModel +
      "[[axis]]\nname = \"a\"\n[[axis.cell]]\nlabel = \"x\"\nmodel.swa.window = 8\n[[axis.cell]]\nlabel = \"y\"\n"
      "[[axis]]\ntrain.seed = [1, 2]\n[[exclude]]\nwhere = { a = \"x\", seed = 2 }\n[[when]]\nwhere = { a = \"y\" "
      "}\ntrain.warmup = 0.5\n" +
      kTestEvaluation +
      "[[stage]]\nname = \"tune\"\nwhere = { a = \"x\" }\ntrain.steps = 2\ndata.task = \"passkey\"\n"
      "[[evaluate]]\nname = \"p\"\ntask = \"passkey\"\ncheckpoint = \"tune\"\nlengths = [256]\n"
      "[[measure]]\nquantity = \"prompt_throughput\"\nlengths = [64]\nresources.threads = 2\n"
      "[slurm]\npartition = \"a\"\n";
  const std::vector<std::string> pieces = {
      "[",     "]",    "[[",   "]]",   "{",     "}",   "\"",    "'",
      "=",     ".",    ",",    "\n",   "nan",   "-1",  "0",     "9223372036854775807",
      "1e308", "\xFF", "\x01", "seed", "model", "use", "where", "true"};
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int turn = 0; turn < 600; ++turn) {
    std::string text = good;
    for (unsigned edits = 1 + random() % 4; edits > 0; --edits) {
      const std::size_t at = random() % text.size();
      if (random() % 2 == 0) text.erase(at, random() % 12);
      if (random() % 3 != 0) text.insert(std::min(at, text.size()), pieces[random() % pieces.size()]);
      if (text.empty()) text.assign(1, 'x');
    }
    SCOPED_TRACE(fmt::format("seed {}, turn {}:\n{}", seed, turn, text));
    const std::optional<Plan> plan = folder.plan(text);
    ASSERT_NE(plan.has_value(), folder.said.find("error: ") != std::string::npos);
  }
}

}  // namespace
}  // namespace mestre
