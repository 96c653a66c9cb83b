// Every model file under experiments/models whose mixers have modules: what the planner counts is what the worker
// builds. The weights are allocated and never touched, so that the large ones take no memory.

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

#include "core/model/language_model.h"
#include "core/model/modules.h"
#include "core/plan/plan.h"
#include "tests/worker_jobs.h"

namespace mestre {
namespace {

std::vector<std::string> names_of_models(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

bool can_be_built(const ModelSpec& model) {
  return std::all_of(model.instances.begin(), model.instances.end(), [](const auto& instance) {
    return std::any_of(module_types().begin(), module_types().end(),
                       [&](const ModuleType& module) { return module.name == instance.second->type(); });
  });
}

TEST(ModelFiles, BuildWithThePlannedNumberOfParameters) {
  const fs::path models = fs::path(std::getenv("MESTRE_SOURCE")) / "experiments/models";
  const std::vector<std::string> names = names_of_models(models);
  ASSERT_FALSE(names.empty());
  const WorkerJobs jobs;
  fs::create_directory_symlink(models, jobs.path() / "models");
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "\"" : ", \"") + name + "\"";
  const fs::path sweep = jobs.path() / "sweep.toml";
  replace_file(sweep,
               "[sweep]\nname = \"all\"\nquestion = \"Do they build?\"\n[train]\ntokens = 4096\nsequence_length = 16\n"
               "sequences_per_step = 2\n[data]\ntrain = \"words.manifest\"\n[[axis]]\nname = \"model\"\nmodel.use = [" +
                   list + "]\n");

  Diagnostics diagnostics;
  PlanContext context;
  context.data_root = (jobs.path() / "data").native();
  const std::optional<Plan> plan = plan_sweep(sweep.native(), context, diagnostics);
  ASSERT_TRUE(plan) << diagnostics.render();
  ASSERT_EQ(plan->jobs.size(), names.size());
  std::size_t built = 0;
  for (const PlannedJob& planned : plan->jobs) {
    const Job job = parse_job(planned.spec);
    const ModelSpec& model = std::get<TrainJob>(job).model;
    if (!can_be_built(model)) continue;
    EXPECT_EQ(LanguageModel(model).parameter_count(), planned.estimate.parameters) << planned.spec;
    ++built;
  }
  // gla, retention and mega_s6 wait for their modules.
  const auto waiting = std::count_if(names.begin(), names.end(), [](const std::string& name) {
    return name.starts_with("sliding-") || name.starts_with("mega-");
  });
  EXPECT_EQ(built, names.size() - static_cast<std::size_t>(waiting));
}

}  // namespace
}  // namespace mestre
