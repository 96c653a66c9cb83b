// Specs read back.
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/mixers/registry.h"
#include "core/spec/job.h"

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

DataIdentity read_data(const Json& spec) {
  DataIdentity data;
  if (!spec.contains("data")) return data;
  const Json& json = spec.at("data");
  if (json.contains("task")) {
    member(json.at("task"), "name", "data.task").get_to(data.task);
    member(json.at("task"), "version", "data.task").get_to(data.task_version);
  }
  if (json.contains("digest")) json.at("digest").get_to(data.digest);
  member(json, "tokenizer", "data").get_to(data.tokenizer);
  member(json, "tokenizer_version", "data").get_to(data.tokenizer_version);
  member(json, "vocabulary", "data").get_to(data.vocabulary);
  return data;
}

SpeedSetup read_setup(const Json& json) {
  SpeedSetup setup;
  member(json, "build", "setup").get_to(setup.build);
  member(json, "gpu", "setup").get_to(setup.gpu);
  member(json, "gpus", "setup").get_to(setup.gpus);
  member(json, "micro_batch", "setup").get_to(setup.micro_batch);
  member(json, "precision", "setup").get_to(setup.precision);
  member(json, "threads", "setup").get_to(setup.threads);
  return setup;
}

void require_versions(const Json& spec, std::string_view ours) {
  const Json& theirs = member(spec, "versions", "the spec");
  if (theirs == Json::parse(ours)) return;
  throw Error(ErrorCode::kBadInput,
              fmt::format("the spec needs the versions {}, but this build has {}", theirs.dump(), ours))
      .hint("build mestre and mestre-worker from the same commit");
}

TrainJob read_training(const Json& spec) {
  TrainJob job{.model = read_model(member(spec, "model", "the spec")), .train = {}, .data = {}, .from = {}};
  (void)member(spec, "data", "the spec");
  job.data = read_data(spec);
  read(member(spec, "train", "the spec"), job.train, "train");
  if (spec.contains("from")) {
    const Json& from = spec.at("from");
    member(from, "job", "from").get_to(job.from);
    job.continues = from.value("continues", false);
  }
  return job;
}

EvaluateJob read_evaluation(const Json& spec, const std::string& kind) {
  const auto name = member(spec, kind == "measure" ? "quantity" : "task", "the spec").get<std::string>();
  const TaskType* type = find_task_type(name);
  if (type == nullptr) throw Error(ErrorCode::kBadInput, fmt::format("unknown task '{}'", name));
  EvaluateJob job;
  job.task = type->make();
  read(member(spec, "options", "the spec"), *job.task, "options");
  if (kind_of(*job.task) != kind)
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is no task of kind '{}'", name, kind));
  job.data = read_data(spec);
  if (spec.contains("checkpoint")) {
    const Json& checkpoint = spec.at("checkpoint");
    if (checkpoint.contains("digest")) {
      checkpoint.at("digest").get_to(job.checkpoint_digest);
    } else {
      member(checkpoint, "job", "checkpoint").get_to(job.checkpoint_job);
    }
  }
  if (job.checkpoint_job.empty()) job.model = read_model(member(spec, "model", "the spec"));
  if (job.model && job.checkpoint_digest.empty()) job.setup = read_setup(member(spec, "setup", "the spec"));
  return job;
}

Job parse_job_json(const Json& spec) {
  const auto format = member(spec, "format", "the spec").get<int>();
  if (format > kJobFormat)
    throw Error(ErrorCode::kNewerVersion,
                fmt::format("the spec has format {}, this build reads up to {}", format, kJobFormat));
  if (spec.contains("worker"))
    throw Error(ErrorCode::kBadInput, "the spec is meant for a worker of the sweep's own ([worker] command)");
  const auto kind = member(spec, "kind", "the spec").get<std::string>();
  if (kind != "train" && kind != "evaluate" && kind != "measure")
    throw Error(ErrorCode::kBadInput, fmt::format("unknown kind of job '{}'", kind));
  Job job = kind == "train" ? Job(read_training(spec)) : Job(read_evaluation(spec, kind));
  require_versions(spec, Json::parse(canonical_spec(job)).at("versions").dump());
  return job;
}

}  // namespace

Job parse_job(std::string_view spec) {
  try {
    return parse_job_json(Json::parse(spec));
  } catch (const Json::exception& problem) {
    throw Error(ErrorCode::kBadInput, fmt::format("the spec of the job cannot be read: {}", problem.what()));
  }
}

ModelSpec parse_model(std::string_view json) {
  try {
    return read_model(Json::parse(json));
  } catch (const Json::exception& problem) {
    throw Error(ErrorCode::kBadInput, fmt::format("the model cannot be read: {}", problem.what()));
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
