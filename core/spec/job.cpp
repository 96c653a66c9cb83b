#include "core/spec/job.h"

#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/mixers/registry.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

class JsonReader final : public OptionVisitor {
 public:
  JsonReader(const Json& object, std::string_view what) : object_(object), what_(what) {
    if (!object.is_object()) throw Error(ErrorCode::kBadInput, fmt::format("{} is not a JSON object", what));
  }

  void visit(const Field& field, bool& value) override { read(field, value, "true or false", &Json::is_boolean); }
  void visit(const Field& field, std::int64_t& value) override {
    read(field, value, "a whole number", &Json::is_number_integer);
  }
  void visit(const Field& field, double& value) override { read(field, value, "a number", &Json::is_number); }
  void visit(const Field& field, std::string& value) override { read(field, value, "text", &Json::is_string); }
  void visit(const Field& field, std::vector<std::int64_t>& value) override {
    read(field, value, "a list of whole numbers", &Json::is_array);
  }
  void visit(const Field& field, std::vector<std::string>& value) override {
    read(field, value, "a list of texts", &Json::is_array);
  }

  void refuse_unknown() const {
    for (const auto& [key, value] : object_.items())
      if (!known_.contains(key))
        throw Error(ErrorCode::kBadInput, fmt::format("{} has an unknown member '{}'", what_, key));
  }

 private:
  template <class T>
  void read(const Field& field, T& value, std::string_view expected, bool (Json::*is_right)() const noexcept) {
    known_.insert(std::string(field.name));
    const auto found = object_.find(field.name);
    if (found == object_.end()) {
      if (!field.legacy) throw Error(ErrorCode::kBadInput, fmt::format("{} lacks the member '{}'", what_, field.name));
      Json::parse(*field.legacy).get_to(value);
      return;
    }
    if (!((*found).*is_right)())
      throw Error(ErrorCode::kBadInput, fmt::format("{}.{} is not {}", what_, field.name, expected));
    try {
      found->get_to(value);
    } catch (const Json::exception&) {
      throw Error(ErrorCode::kBadInput, fmt::format("{}.{} is not {}", what_, field.name, expected));
    }
  }

  const Json& object_;
  std::string_view what_;
  std::set<std::string> known_;
};

void read(const Json& json, Options& options, std::string_view what) {
  JsonReader reader(json, what);
  options.describe(reader);
  reader.refuse_unknown();
}

const Json& member(const Json& object, const char* key, std::string_view what) {
  const auto found = object.find(key);
  if (found == object.end()) throw Error(ErrorCode::kBadInput, fmt::format("{} lacks the member '{}'", what, key));
  return *found;
}

ModelSpec read_model(const Json& json) {
  ModelSpec model;
  read(member(json, "options", "model"), model.options, "model.options");
  for (const auto& [name, instance] : member(json, "instances", "model").items()) {
    const std::string type = member(instance, "type", "model.instances." + name).get<std::string>();
    const MixerType* known = find_mixer_type(type);
    if (known == nullptr)
      throw Error(ErrorCode::kBadInput, fmt::format("model.instances.{} is of unknown type '{}'", name, type));
    std::unique_ptr<MixerOptions> mixer = known->make();
    read(member(instance, "options", "model.instances." + name), *mixer, "model.instances." + name + ".options");
    model.instances.emplace(name, std::move(mixer));
  }
  return model;
}

DataIdentity read_data(const Json& json) {
  DataIdentity data;
  member(json, "digest", "data").get_to(data.digest);
  member(json, "tokenizer", "data").get_to(data.tokenizer);
  member(json, "tokenizer_version", "data").get_to(data.tokenizer_version);
  member(json, "vocabulary", "data").get_to(data.vocabulary);
  return data;
}

void require_versions(const Json& spec, std::string_view ours) {
  const Json& theirs = member(spec, "versions", "the spec");
  if (theirs == Json::parse(ours)) return;
  throw Error(ErrorCode::kBadInput,
              fmt::format("the spec needs the versions {}, but this build has {}", theirs.dump(), ours))
      .hint("build mestre and mestre-worker from the same commit");
}

std::string canonical_task_versions(const TaskOptions& task) {
  JsonObject versions;
  return versions.number(task.type(), static_cast<std::int64_t>(task.version())).str();
}

Job parse_job_json(const Json& spec) {
  const auto format = member(spec, "format", "the spec").get<int>();
  if (format > kJobFormat)
    throw Error(ErrorCode::kNewerVersion,
                fmt::format("the spec has format {}, this build reads up to {}", format, kJobFormat));
  const auto kind = member(spec, "kind", "the spec").get<std::string>();
  if (kind == "train") {
    TrainJob job{.model = read_model(member(spec, "model", "the spec")),
                 .train = {},
                 .data = read_data(member(spec, "data", "the spec"))};
    read(member(spec, "train", "the spec"), job.train, "train");
    require_versions(spec, canonical_versions(job.model));
    return job;
  }
  if (kind == "evaluate") {
    const auto task = member(spec, "task", "the spec").get<std::string>();
    const TaskType* known = find_task_type(task);
    if (known == nullptr) throw Error(ErrorCode::kBadInput, fmt::format("unknown task '{}'", task));
    EvaluateJob job{
        .checkpoint_job = member(member(spec, "checkpoint", "the spec"), "job", "checkpoint").get<std::string>(),
        .task = known->make(),
        .data = read_data(member(spec, "data", "the spec"))};
    read(member(spec, "options", "the spec"), *job.task, "options");
    require_versions(spec, canonical_task_versions(*job.task));
    return job;
  }
  throw Error(ErrorCode::kBadInput, fmt::format("unknown kind of job '{}'", kind));
}

}  // namespace

std::string_view kind_of(const Job& job) {
  return std::holds_alternative<TrainJob>(job) ? "train" : "evaluate";
}

std::string canonical_json(const DataIdentity& data) {
  JsonObject object;
  object.text("digest", data.digest).text("tokenizer", data.tokenizer);
  object.number("tokenizer_version", static_cast<std::int64_t>(data.tokenizer_version))
      .number("vocabulary", data.vocabulary);
  return object.str();
}

std::string canonical_train_spec(std::string_view model, std::string_view train, std::string_view data,
                                 std::string_view versions) {
  return fmt::format(R"({{"data":{},"format":{},"kind":"train","model":{},"train":{},"versions":{}}})", data,
                     kJobFormat, model, train, versions);
}

std::string canonical_evaluate_spec(std::string_view checkpoint_job, const TaskOptions& task, std::string_view data) {
  return fmt::format(
      R"({{"checkpoint":{{"job":"{}"}},"data":{},"format":{},"kind":"evaluate","options":{},"task":"{}","versions":{}}})",
      checkpoint_job, data, kJobFormat, canonical_json(static_cast<const Options&>(task)), task.type(),
      canonical_task_versions(task));
}

std::string canonical_versions(const ModelSpec& model) {
  std::map<std::string, std::int64_t> versions = {
      {"initialization", kInitializationVersion}, {"optimizer", kOptimizerVersion}, {"sampler", kSamplerVersion}};
  for (const auto& [name, mixer] : model.instances) versions.emplace(mixer->type(), mixer->version());
  JsonObject object;
  for (const auto& [name, version] : versions) object.number(name, version);
  return object.str();
}

std::string canonical_spec(const Job& job) {
  if (const auto* train = std::get_if<TrainJob>(&job)) {
    return canonical_train_spec(canonical_json(train->model), canonical_json(static_cast<const Options&>(train->train)),
                                canonical_json(train->data), canonical_versions(train->model));
  }
  const auto& evaluate = std::get<EvaluateJob>(job);
  return canonical_evaluate_spec(evaluate.checkpoint_job, *evaluate.task, canonical_json(evaluate.data));
}

std::string job_id(std::string_view canonical_spec) {
  return xxh3_128(canonical_spec);
}

Job parse_job(std::string_view spec) {
  try {
    return parse_job_json(Json::parse(spec));
  } catch (const Json::exception& problem) {
    throw Error(ErrorCode::kBadInput, fmt::format("the spec of the job cannot be read: {}", problem.what()));
  }
}

void read_options(std::string_view json, Options& options, std::string_view what) {
  try {
    read(Json::parse(json), options, what);
  } catch (const Json::exception& problem) {
    throw Error(ErrorCode::kBadInput, fmt::format("{} cannot be read: {}", what, problem.what()));
  }
}

}  // namespace mestre
