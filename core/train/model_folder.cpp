#include "core/train/model_folder.h"

#include <algorithm>
#include <limits>
#include <set>
#include <variant>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/spec/job.h"
#include "core/train/checkpoint.h"
#include "core/train/lineage.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

constexpr const char* kIndexFile = "model.safetensors.index.json";

// {"weight_map":{"model.norm.weight":"model-00002-of-00002.safetensors",…}}
std::set<fs::path> files_of_index(const fs::path& index) {
  std::set<fs::path> files;
  try {
    const Json json = Json::parse(read_file(index));
    for (const auto& [tensor, file] : json.at("weight_map").items())
      files.insert(index.parent_path() / fs::path(file.get<std::string>()).filename());
  } catch (const Json::exception& problem) {
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' cannot be read: {}", index.native(), problem.what()));
  }
  return files;
}

std::set<fs::path> files_of(const fs::path& folder) {
  if (fs::exists(folder / "model.safetensors")) return {folder / "model.safetensors"};
  if (fs::exists(folder / kIndexFile)) return files_of_index(folder / kIndexFile);
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors") files.insert(entry.path());
  if (files.empty())
    throw Error(ErrorCode::kNotFound, fmt::format("there are no weights in '{}'", folder.native()))
        .hint("expected model.safetensors, or several *.safetensors, beside config.json");
  return files;
}

Safetensors read_all(const std::set<fs::path>& files, const fs::path& folder) {
  if (files.size() == 1) return read_safetensors(*files.begin());
  Safetensors all;
  for (const fs::path& file : files) {
    Safetensors part = read_safetensors(file);
    for (auto& [name, value] : part.tensors)
      if (!all.tensors.emplace(name, std::move(value)).second)
        throw Error(ErrorCode::kBadInput, fmt::format("two files in '{}' hold '{}'", folder.native(), name));
  }
  all.file = folder.native();
  return all;
}

ModelFolder read_exported(const fs::path& folder) {
  ModelFolder result;
  try {
    result.config = read_model_config(read_file(folder / "config.json"));
  } catch (Error& problem) {
    throw Error(problem).hint(fmt::format("of '{}'", folder.native()));
  }
  const Safetensors weights = read_all(files_of(folder), folder);
  result.weights = from_foreign(foreign_tensors(result.config.model, result.config.layout), weights);
  return result;
}

ModelConfig config_of_job(const fs::path& job_folder) {
  const fs::path file = job_folder / "job.json";
  if (!fs::exists(file))
    throw Error(ErrorCode::kNotFound, fmt::format("'{}' is not there, which says what model the checkpoint is of",
                                                  file.lexically_normal().native()))
        .hint("expected a checkpoint where the training wrote it: JOB/attempt-1/checkpoints/step-00002000")
        .hint("'mestre-worker export' writes one that can be moved");
  const Job job = parse_job(read_file(file));
  const auto* training = std::get_if<TrainJob>(&job);
  if (training == nullptr)
    throw Error(ErrorCode::kBadInput, fmt::format("the job in '{}' is no training", job_folder.native()));
  return {.model = training->model, .layout = CheckpointLayout::kMestre, .longest = training->train.sequence_length};
}

ModelFolder read_checkpoint(const fs::path& checkpoint, const fs::path& job_folder) {
  ModelFolder result{.config = config_of_job(job_folder), .weights = {}};
  result.weights =
      from_foreign(foreign_tensors(result.config.model, CheckpointLayout::kMestre), read_checked_weights(checkpoint));
  return result;
}

ModelFolder read_newest_checkpoint(const fs::path& job_folder) {
  for (const Checkpoint& each : usable_checkpoints(job_folder, std::numeric_limits<int>::max()))
    if (fs::exists(job_folder / each.file)) return read_checkpoint(job_folder / each.file, job_folder);
  throw Error(ErrorCode::kNotFound, fmt::format("the job in '{}' has no checkpoint yet", job_folder.native()));
}

}  // namespace

ModelFolder read_model_folder(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw Error(ErrorCode::kNotFound, fmt::format("there is no folder '{}'", folder.native()));
  if (fs::exists(folder / "config.json")) return read_exported(folder);
  if (fs::exists(folder / "state.json")) return read_checkpoint(folder, fs::canonical(folder) / "../../..");
  if (fs::exists(folder / "job.json")) return read_newest_checkpoint(folder);
  throw Error(ErrorCode::kBadInput, fmt::format("'{}' holds no model", folder.native()))
      .hint("expected config.json and *.safetensors, a checkpoint of a training, or a training's job folder");
}

}  // namespace mestre
