#include "runners/cli/worker_catalog.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/mixers/registry.h"
#include "core/spec/job.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

Json our_versions() {
  Json versions = {
      {"initialization", kInitializationVersion}, {"optimizer", kOptimizerVersion}, {"sampler", kSamplerVersion}};
  for (const MixerType& type : mixer_types()) versions["mixers"][std::string(type.name)] = type.make()->version();
  for (const TaskType& type : task_types()) versions["tasks"][std::string(type.name)] = type.make()->version();
  return versions;
}

// "/mixers/mamba" as "mixers.mamba".
std::string dotted(std::string path) {
  path.erase(0, 1);
  std::replace(path.begin(), path.end(), '/', '.');
  return path;
}

std::string disagreement_of(const Json& theirs) {
  if (const Json format = theirs.value("job_format", Json()); format != kJobFormat)
    return fmt::format("job_format is {} there, {} here", format.dump(), kJobFormat);
  const Json versions = theirs.at("versions").flatten();
  const Json wanted = our_versions().flatten();
  for (const auto& [path, ours] : wanted.items()) {
    const auto found = versions.find(path);
    // A mixer or task whose module is still to come matters to sweeps that use it alone.
    const bool optional = path.starts_with("/mixers/") || path.starts_with("/tasks/");
    if (found == versions.end() && optional) continue;
    if (found == versions.end()) return fmt::format("{} is missing there", dotted(path));
    if (*found != ours) return fmt::format("{} is {} there, {} here", dotted(path), found->dump(), ours.dump());
  }
  return "";
}

}  // namespace

WorkerCatalog read_worker_catalog(std::string_view json) {
  try {
    const Json catalog = Json::parse(json);
    const Json build = catalog.value("build", Json::object());
    const auto text = [&](const char* key) { return escaped(build.value(key, std::string("unknown"))); };
    return {.build = fmt::format("{} ({}{}), torch {}", text("version"), text("commit").substr(0, 8),
                                 build.value("dirty", false) ? ", changed" : "", text("torch")),
            .disagreement = disagreement_of(catalog),
            .features = catalog.value("features", std::set<std::string>())};
  } catch (const Json::exception&) {
    throw Error(ErrorCode::kEnvironment, "what the worker printed for --catalog is no catalogue")
        .hint("build mestre and mestre-worker from the same commit");
  }
}

void require_worker_can(const WorkerCatalog& catalog, const std::vector<Plan>& plans) {
  if (!catalog.disagreement.empty())
    throw Error(ErrorCode::kEnvironment, fmt::format("mestre-worker is of another version: {}", catalog.disagreement))
        .hint("build mestre and mestre-worker from the same commit: 'make build'");
  std::vector<std::string> lacks;
  for (const Plan& plan : plans)
    for (const auto& [feature, cell] : plan.features)
      if (!catalog.features.contains(feature)) lacks.push_back(fmt::format("{} (for {}/{})", feature, plan.name, cell));
  if (lacks.empty()) return;
  Error error(ErrorCode::kEnvironment, "this build of mestre-worker lacks what the sweep needs");
  for (const std::string& one : lacks) error.hint(one);
  throw error.hint(
      "leave those cells out with [[exclude]], or use a worker that has them; 'mestre plan' prices them all the same");
}

}  // namespace mestre
