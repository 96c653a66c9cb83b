// The unit of work and of identity: one training, or one evaluation of one checkpoint.
//
// A job's canonical spec is one line of JSON with sorted keys; the job's id is the XXH3-128 of exactly those bytes, and
// job.json holds them and a newline, so that a folder can be checked against its name. What is in the spec defines the
// result; what only changes speed is in launch.json.
//   train:    {"data":{…},"format":1,"kind":"train","model":{…},"train":{…},"versions":{…}}
//   evaluate:
//   {"checkpoint":{"job":ID},"data":{…},"format":1,"kind":"evaluate","options":{…},"task":"perplexity","versions":{…}}
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "core/spec/model.h"
#include "core/spec/train.h"
#include "core/tasks/task.h"

namespace mestre {

inline constexpr int kJobFormat = 1;

/// A packed corpus as identity sees it: by content, not by path.
struct DataIdentity {
  std::string digest;     // of the packed tokens, from the manifest
  std::string tokenizer;  // "bytes"
  int tokenizer_version = 1;
  std::int64_t vocabulary = 0;  // tokens that the tokenizer knows
};

struct TrainJob {
  ModelSpec model;
  TrainOptions train;
  DataIdentity data;
};

struct EvaluateJob {
  std::string checkpoint_job;  // id of the training job whose last checkpoint is read
  std::unique_ptr<TaskOptions> task;
  DataIdentity data;
};

using Job = std::variant<TrainJob, EvaluateJob>;

/// "train" or "evaluate".
[[nodiscard]] std::string_view kind_of(const Job& job);

[[nodiscard]] std::string canonical_json(const DataIdentity& data);
/// The canonical spec. Pieces that many jobs share can be handed in as text (model, train, data: their canonical JSON).
[[nodiscard]] std::string canonical_train_spec(std::string_view model, std::string_view train, std::string_view data,
                                               std::string_view versions);
[[nodiscard]] std::string canonical_evaluate_spec(std::string_view checkpoint_job, const TaskOptions& task,
                                                  std::string_view data);
/// {"attention":1,…}: the versions of the mixers in the model, its initialisation, the optimizer and the sampler.
[[nodiscard]] std::string canonical_versions(const ModelSpec& model);
[[nodiscard]] std::string canonical_spec(const Job& job);
[[nodiscard]] std::string job_id(std::string_view canonical_spec);

/// Reads a spec back. Throws Error (bad_input) that names the member which is missing, unknown or of the wrong type, or
/// a version that this build does not have.
[[nodiscard]] Job parse_job(std::string_view spec);

/// Reads the members of a JSON object into options. Throws Error (bad_input) for unknown members, wrong types and
/// missing ones; a member with a legacy value may be missing.
void read_options(std::string_view json, Options& options, std::string_view what);

}  // namespace mestre
