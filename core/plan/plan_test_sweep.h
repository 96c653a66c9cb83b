// For tests: a folder with data manifests and models in which sweeps are planned.
#pragma once

#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/data/test_folder.h"
#include "core/plan/plan.h"

namespace mestre {

inline const std::string kTestSeeds = "[[axis]]\ntrain.seed = [1, 2]\n";
inline const std::string kTestArchitectures =
    "[[axis]]\nname = \"architecture\"\n[[axis.cell]]\nlabel = \"A\"\nmodel.use = \"attention\"\n"
    "[[axis.cell]]\nlabel = \"H\"\nmodel.use = \"hybrid\"\n";
inline constexpr const char* kTestTrain = "[train]\ntokens = \"64Ki\"\nsequence_length = 256\nsequences_per_step = 8\n";
inline constexpr const char* kTestData =
    "[data]\ntrain = \"text/train.manifest\"\nvalidation = \"text/validation.manifest\"\n";
inline constexpr const char* kTestModel = "[model]\nuse = \"hybrid\"\n";
inline constexpr const char* kTestEvaluation = "[[evaluate]]\nname = \"perplexity\"\nlengths = [256, 512]\n";

class SweepFolder {
 public:
  SweepFolder() {
    write_manifest("train", 'a', 10'000'000);
    write_manifest("validation", 'b', 200'000);
    folder_.write(
        "models/attention.toml",
        "[model]\nwidth = 64\nlayers = [\"attention\", \"mlp\"]\nattention.heads = 2\nmlp.intermediate = 160\n");
    folder_.write("models/hybrid.toml",
                  "[model]\nwidth = 64\nlayers = [\"mamba\", \"mlp\", \"swa\", \"mlp\"]\nmlp.intermediate = 128\n"
                  "swa = { type = \"attention\", heads = 2, window = 16 }\n");
    context.data_root = (folder_.path() / "data").string();
  }

  /// What the sweep comes to; the mistakes stand in `said`.
  std::optional<Plan> plan(const std::string& text) {
    folder_.write("sweep.toml", text);
    Diagnostics diagnostics;
    std::optional<Plan> result = plan_sweep((folder_.path() / "sweep.toml").string(), context, diagnostics);
    said = diagnostics.render();
    return result;
  }
  /// A sweep that must be sound: the usual sections and what is given.
  Plan sound(const std::string& rest, const std::string& train = kTestTrain, const std::string& model = kTestModel) {
    std::optional<Plan> result = plan("[sweep]\nname = \"test\"\n" + train + kTestData + model + rest);
    EXPECT_TRUE(result.has_value()) << said;
    return result ? std::move(*result) : Plan{};
  }
  [[nodiscard]] const fs::path& path() const { return folder_.path(); }

  PlanContext context;
  std::string said;

 private:
  void write_manifest(const std::string& name, char digit, std::int64_t tokens) const {
    folder_.write(
        fmt::format("data/text/{}.manifest", name),
        fmt::format(
            R"({{"digest":"{0}","documents":3,"files":[{{"bytes":{1},"digest":"{0}","path":"{2}.bin","tokens":{3}}}],)"
            R"("format":1,"tokenizer":"bytes","tokenizer_version":1,"tokens":{3},"vocabulary":257}})",
            std::string(32, digit), 2 * tokens, name, tokens));
  }

  TestFolder folder_;
};

inline std::set<std::string> ids_of(const Plan& plan, std::string_view kind) {
  std::set<std::string> ids;
  for (const PlannedJob& job : plan.jobs)
    if (job.kind == kind) ids.insert(job.id);
  return ids;
}

inline std::vector<std::string> names_of(const Plan& plan) {
  std::vector<std::string> names;
  for (const PlannedCell& cell : plan.cells) names.push_back(cell.name);
  return names;
}

}  // namespace mestre
