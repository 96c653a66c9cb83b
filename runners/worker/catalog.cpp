#include "runners/worker/catalog.h"

#include <algorithm>

#include <ATen/Context.h>
#include <fmt/format.h>
#include <torch/version.h>

#include "core/base/build_info.h"
#include "core/base/error.h"
#include "core/base/options.h"
#include "core/mixers/registry.h"
#include "core/model/modules.h"
#include "core/train/evaluate.h"

namespace mestre {

std::vector<std::string> worker_features() {
  std::vector<std::string> features = {feature_of_precision("float32"), feature_of_precision("bfloat16"),
                                       kStagesFeature, kContinuesFeature};
  for (const ModuleType& type : module_types()) features.push_back(fmt::format("mixer {}", type.name));
  for (const TaskRun& run : task_runs())
    for (std::string& feature : features_of(*find_task_type(run.name)->make())) features.push_back(std::move(feature));
  std::sort(features.begin(), features.end());
  return features;
}

void require_features(const Job& job) {
  const std::vector<std::string> ours = worker_features();
  for (const std::string& needed : features_of(job))
    if (!std::binary_search(ours.begin(), ours.end(), needed))
      throw Error(ErrorCode::kBadInput, fmt::format("the job needs '{}', which this build does not have", needed))
          .hint("'mestre-worker --catalog' lists what it has");
}

std::string catalog_json() {
  JsonObject mixers;
  for (const ModuleType& type : module_types())
    mixers.number(type.name, static_cast<std::int64_t>(find_mixer_type(type.name)->make()->version()));
  JsonObject tasks;
  for (const TaskRun& run : task_runs())
    tasks.number(run.name, static_cast<std::int64_t>(find_task_type(run.name)->make()->version()));
  JsonObject versions;
  versions.raw("mixers", mixers.str()).raw("tasks", tasks.str());
  versions.number("initialization", static_cast<std::int64_t>(kInitializationVersion));
  versions.number("optimizer", static_cast<std::int64_t>(kOptimizerVersion));
  versions.number("sampler", static_cast<std::int64_t>(kSamplerVersion));
  std::string features;
  for (const std::string& feature : worker_features()) features += (features.empty() ? "" : ",") + json_string(feature);
  const BuildInfo& info = build_info();
  JsonObject build;
  build.text("version", info.version)
      .text("commit", info.commit)
      .boolean("dirty", info.dirty)
      .text("compiler", info.compiler);
  build.text("torch", TORCH_VERSION);
  JsonObject object;
  object.raw("build", build.str())
      .raw("versions", versions.str())
      .raw("devices", at::getNumGPUs() > 0 ? R"(["cpu","cuda"])" : R"(["cpu"])");
  object.raw("features", "[" + features + "]");
  return object.number("job_format", static_cast<std::int64_t>(kJobFormat)).str();
}

}  // namespace mestre
