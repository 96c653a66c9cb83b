// The unit of work and of identity: one training, or one evaluation or measurement of one checkpoint.
//
// A job's canonical spec is one line of JSON with sorted keys; the job's id is the XXH3-128 of exactly those bytes, and
// job.json holds them and a newline, so that a folder can be checked against its name. What is in the spec defines the
// result; what only changes speed is in launch.json.
//   train:    {"data":{…},"format":1,"from":{"job":ID},"kind":"train","model":{…},"train":{…},"versions":{…}}
//             `from` only in a stage: it begins with the weights of that job's last checkpoint; with {"continues":true,
//             "job":ID} also with its optimizer, its place in the data and its number of steps
//   evaluate:
//   {"checkpoint":{"job":ID},"data":{…},"format":1,"kind":"evaluate","options":{…},"task":"perplexity","versions":{…}}
//   measure:  the same, with `quantity` in the place of `task`
// Two variants of the last two: {"checkpoint":{"digest":…},"model":{…},…} reads a folder of weights that were not
// trained here; {"model":{…},"setup":{…},…} measures a speed, which depends on no weights, but on the machine and the
// build. `data` names what is read: packed tokens by their digest, or a task that
// makes text ({"task":{"name":…,"version":…}}, with the digest of the items that it makes it from, where it has some),
// or only the tokenizer where a task makes up its own text; a speed has none.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/spec/model.h"
#include "core/spec/train.h"
#include "core/tasks/task.h"

namespace mestre {

inline constexpr int kJobFormat = 1;

/// What a job reads as identity sees it: by content, not by path.
struct DataIdentity {
  std::string digest;     // of the packed tokens or items, from the manifest; empty where none are read
  std::string tokenizer;  // "bytes"; empty: no text at all
  int tokenizer_version = 1;
  std::int64_t vocabulary = 0;  // tokens that the tokenizer knows
  std::string task;             // that makes the text instead of packed tokens; empty: none
  int task_version = 0;
};

struct TrainJob {
  ModelSpec model;
  TrainOptions train;
  DataIdentity data;
  std::string from;        // id of the training job whose last checkpoint gives the first weights; empty: drawn by seed
  bool continues = false;  // that checkpoint gives the rest of the state, too; train.tokens counts from its beginning
};

/// What decides a speed besides the model and the options.
struct SpeedSetup {
  std::string build;  // version of the program
  std::string gpu;    // name of the GPU; empty: as the machine has it
  std::int64_t gpus = 0;
  std::int64_t threads = 1;
  std::int64_t micro_batch = 0;
  std::string precision = "float32";
};

/// An evaluation or a measurement: TaskType::kind says which.
struct EvaluateJob {
  std::string checkpoint_job;     // id of the training job whose last checkpoint is read; empty: none
  std::string checkpoint_digest;  // of a folder of weights; empty: none
  std::unique_ptr<TaskOptions> task;
  DataIdentity data;
  std::optional<ModelSpec> model;   // where no training job says it
  std::optional<SpeedSetup> setup;  // of a speed
};

using Job = std::variant<TrainJob, EvaluateJob>;

/// "train", "evaluate" or "measure".
[[nodiscard]] std::string_view kind_of(const Job& job);
[[nodiscard]] std::string_view kind_of(const TaskOptions& task);

[[nodiscard]] std::string canonical_json(const DataIdentity& data);
[[nodiscard]] std::string canonical_json(const SpeedSetup& setup);

/// The canonical spec from pieces of canonical JSON, which many jobs share. Empty pieces are left out.
struct TrainSpecParts {
  std::string_view model, train, data, versions;
  std::string_view from;  // id of a job
  bool continues = false;
  std::string_view worker;  // canonical JSON of a foreign worker
};
[[nodiscard]] std::string canonical_train_spec(const TrainSpecParts& parts);
struct EvaluateSpecParts {
  const TaskOptions& task;
  std::string_view data;
  std::string_view checkpoint_job, checkpoint_digest;
  const ModelSpec* model = nullptr;  // where no training job says it
  std::string_view setup;
  std::string_view worker;
};
[[nodiscard]] std::string canonical_evaluate_spec(const EvaluateSpecParts& parts);
/// {"attention":1,…}: the versions of the mixers in the model, its initialisation, the optimizer and the sampler.
[[nodiscard]] std::string canonical_versions(const ModelSpec& model);
[[nodiscard]] std::string canonical_spec(const Job& job);
[[nodiscard]] std::string job_id(std::string_view canonical_spec);

/// What a worker must be able to do for it, in words: "mixer mamba", "task perplexity", "precision bfloat16", "stages"
/// … A worker lists what it can (mestre-worker --catalog).
[[nodiscard]] std::vector<std::string> features_of(const Job& job);
[[nodiscard]] std::vector<std::string> features_of(const ModelSpec& model);
[[nodiscard]] std::vector<std::string> features_of(const TaskOptions& task);
[[nodiscard]] std::string feature_of_precision(std::string_view precision);
inline constexpr const char* kStagesFeature = "stages";                     // a training that starts from a checkpoint
inline constexpr const char* kContinuesFeature = "stages that continue";    // with the optimizer, too
inline constexpr const char* kMadeTextFeature = "text made by tasks";       // data.task
inline constexpr const char* kFolderFeature = "checkpoints from a folder";  // model.checkpoint

/// Reads a spec back. Throws Error (bad_input) that names the member which is missing, unknown or of the wrong type, or
/// a version that this build does not have; also where the spec is meant for a foreign worker.
[[nodiscard]] Job parse_job(std::string_view spec);

/// Reads canonical_json(model) back. Throws Error (bad_input) as parse_job.
[[nodiscard]] ModelSpec parse_model(std::string_view json);

/// Reads the members of a JSON object into options. Throws Error (bad_input) for unknown members, wrong types and
/// missing ones; a member with a legacy value may be missing.
void read_options(std::string_view json, Options& options, std::string_view what);

}  // namespace mestre
