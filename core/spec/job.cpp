#include "core/spec/job.h"

#include <map>
#include <set>

#include <fmt/format.h>

#include "core/base/hash.h"

namespace mestre {
namespace {

using Versions = std::map<std::string, std::int64_t>;

Versions versions_of_mixers(const ModelSpec& model) {
  Versions versions;
  for (const auto& [name, mixer] : model.instances) versions.emplace(mixer->type(), mixer->version());
  return versions;
}

std::string to_json(const Versions& versions) {
  JsonObject object;
  for (const auto& [name, version] : versions) object.number(name, version);
  return object.str();
}

std::string reference(std::string_view key, std::string_view id) {
  return fmt::format(R"({{"{}":"{}"}})", key, id);
}

}  // namespace

std::string_view kind_of(const TaskOptions& task) {
  return find_task_type(task.type())->kind == TaskKind::kMeasurement ? "measure" : "evaluate";
}

std::string_view kind_of(const Job& job) {
  const auto* evaluation = std::get_if<EvaluateJob>(&job);
  return evaluation == nullptr ? "train" : kind_of(*evaluation->task);
}

std::string canonical_json(const DataIdentity& data) {
  JsonObject object;
  if (!data.task.empty()) {
    JsonObject task;
    task.text("name", data.task).number("version", static_cast<std::int64_t>(data.task_version));
    object.raw("task", task.str());
  }
  if (!data.digest.empty()) object.text("digest", data.digest);
  object.text("tokenizer", data.tokenizer)
      .number("tokenizer_version", static_cast<std::int64_t>(data.tokenizer_version));
  return object.number("vocabulary", data.vocabulary).str();
}

std::string canonical_json(const SpeedSetup& setup) {
  JsonObject object;
  object.text("build", setup.build).text("gpu", setup.gpu).text("precision", setup.precision);
  object.number("gpus", setup.gpus).number("micro_batch", setup.micro_batch).number("threads", setup.threads);
  return object.str();
}

std::string canonical_train_spec(const TrainSpecParts& parts) {
  // Written by hand: there is one for each cell.
  std::string spec;
  spec.reserve(parts.model.size() + parts.train.size() + parts.data.size() + parts.versions.size() + 160);
  spec.append(R"({"data":)").append(parts.data).append(fmt::format(R"(,"format":{})", kJobFormat));
  if (parts.continues)
    spec.append(fmt::format(R"(,"from":{{"continues":true,"job":"{}"}})", parts.from));
  else if (!parts.from.empty())
    spec.append(R"(,"from":)").append(reference("job", parts.from));
  spec.append(R"(,"kind":"train","model":)").append(parts.model).append(R"(,"train":)").append(parts.train);
  spec.append(R"(,"versions":)").append(parts.versions);
  if (!parts.worker.empty()) spec.append(R"(,"worker":)").append(parts.worker);
  return spec += '}';
}

std::string canonical_evaluate_spec(const EvaluateSpecParts& parts) {
  const TaskOptions& task = parts.task;
  const std::string_view kind = kind_of(task);
  JsonObject object;
  object.number("format", static_cast<std::int64_t>(kJobFormat)).text("kind", kind);
  object.raw("options", canonical_json(static_cast<const Options&>(task)));
  object.text(kind == "measure" ? "quantity" : "task", task.type());
  if (!parts.checkpoint_job.empty()) object.raw("checkpoint", reference("job", parts.checkpoint_job));
  if (!parts.checkpoint_digest.empty()) object.raw("checkpoint", reference("digest", parts.checkpoint_digest));
  if (!parts.data.empty()) object.raw("data", std::string(parts.data));
  if (parts.model != nullptr) object.raw("model", canonical_json(*parts.model));
  if (!parts.setup.empty()) object.raw("setup", std::string(parts.setup));
  if (!parts.worker.empty()) object.raw("worker", std::string(parts.worker));
  Versions versions = parts.model != nullptr ? versions_of_mixers(*parts.model) : Versions();
  versions.emplace(task.type(), task.version());
  return object.raw("versions", to_json(versions)).str();
}

std::string canonical_versions(const ModelSpec& model) {
  Versions versions = versions_of_mixers(model);
  versions.insert(
      {{"initialization", kInitializationVersion}, {"optimizer", kOptimizerVersion}, {"sampler", kSamplerVersion}});
  return to_json(versions);
}

std::string canonical_spec(const Job& job) {
  if (const auto* training = std::get_if<TrainJob>(&job)) {
    const std::string model = canonical_json(training->model);
    const std::string train = canonical_json(static_cast<const Options&>(training->train));
    const std::string data = canonical_json(training->data);
    return canonical_train_spec({.model = model,
                                 .train = train,
                                 .data = data,
                                 .versions = canonical_versions(training->model),
                                 .from = training->from,
                                 .continues = training->continues,
                                 .worker = {}});
  }
  const auto& asked = std::get<EvaluateJob>(job);
  const std::string data = asked.data.tokenizer.empty() ? "" : canonical_json(asked.data);
  const std::string setup = asked.setup ? canonical_json(*asked.setup) : "";
  return canonical_evaluate_spec({.task = *asked.task,
                                  .data = data,
                                  .checkpoint_job = asked.checkpoint_job,
                                  .checkpoint_digest = asked.checkpoint_digest,
                                  .model = asked.model ? &*asked.model : nullptr,
                                  .setup = setup,
                                  .worker = {}});
}

std::string job_id(std::string_view canonical_spec) {
  return xxh3_128(canonical_spec);
}

std::vector<std::string> features_of(const ModelSpec& model) {
  std::set<std::string> types;
  for (const auto& [name, mixer] : model.instances) types.insert(fmt::format("mixer {}", mixer->type()));
  return {types.begin(), types.end()};
}

std::vector<std::string> features_of(const TaskOptions& task) {
  return {fmt::format("{} {}", kind_of(task) == "measure" ? "measurement" : "task", task.type())};
}

std::string feature_of_precision(std::string_view precision) {
  return fmt::format("precision {}", precision);
}

std::vector<std::string> features_of(const Job& job) {
  std::vector<std::string> features;
  const auto add = [&](std::vector<std::string> more) { features.insert(features.end(), more.begin(), more.end()); };
  const DataIdentity* data = nullptr;
  if (const auto* training = std::get_if<TrainJob>(&job)) {
    add(features_of(training->model));
    add({feature_of_precision(training->train.precision)});
    if (!training->from.empty()) add({training->continues ? kContinuesFeature : kStagesFeature});
    data = &training->data;
  } else {
    const auto& asked = std::get<EvaluateJob>(job);
    add(features_of(*asked.task));
    if (asked.model) add(features_of(*asked.model));
    if (!asked.checkpoint_digest.empty()) add({kFolderFeature});
    data = &asked.data;
  }
  if (!data->task.empty()) add({kMadeTextFeature});
  return features;
}

}  // namespace mestre
