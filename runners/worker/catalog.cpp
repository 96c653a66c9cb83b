#include "runners/worker/catalog.h"

#include <torch/version.h>

#include "core/base/build_info.h"
#include "core/base/options.h"
#include "core/mixers/registry.h"
#include "core/model/modules.h"
#include "core/train/evaluate.h"

namespace mestre {

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
  const BuildInfo& info = build_info();
  JsonObject build;
  build.text("version", info.version)
      .text("commit", info.commit)
      .boolean("dirty", info.dirty)
      .text("compiler", info.compiler);
  build.text("torch", TORCH_VERSION);
  JsonObject object;
  object.raw("build", build.str()).raw("versions", versions.str()).raw("devices", R"(["cpu"])");
  return object.number("job_format", static_cast<std::int64_t>(kJobFormat)).str();
}

}  // namespace mestre
