// A plan: what a sweep file asks for, expanded, checked and priced, as a pure value.
//
// The same files, manifests and context give the same plan, byte for byte. Nothing here reads the store: what is
// finished and how fast things ran comes in as PlanContext. Data that are not there stop no plan: their jobs get
// provisional ids. Jobs appear once each, however many cells share them, those
// that others need first.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/diagnostics.h"
#include "core/base/id_table.h"
#include "core/plan/cost.h"
#include "core/spec/runner_options.h"
#include "core/spec/train.h"

namespace mestre {

/// Where a cell got an option that was solved for.
struct Solution {
  std::string option;  // "model.mlp.intermediate"
  std::int64_t value = 0;
  std::string quantity;  // "parameters", "training_flops" …
  bool of_baseline = false;
  double target = 0;
  double reached = 0;
  double residual = 0;   // (reached - target) / target
  double tolerance = 0;  // largest residual allowed
};

struct PlannedJob {
  std::string id;
  std::string kind;                // "train", "evaluate", "measure"
  std::string name;                // "train", or the name of the [[stage]], [[evaluate]] or [[measure]]
  std::string spec;                // canonical JSON
  std::vector<std::size_t> needs;  // indices of jobs in the plan that must have finished
  std::string data;                // the manifest that it reads, relative to the data root; empty: none
  std::string validation;          // the manifest that a training is validated on; empty: none
  std::string validation_digest;
  LaunchOptions launch;
  Estimate estimate;
  /// Groups jobs whose speed can be expected to be equal: digest of kind, model, length, and number of devices.
  std::string speed_key;
  bool finished = false;     // according to the context
  bool provisional = false;  // something that its identity depends on is not there yet: the id will change
  /// Lower runs first. Contrast first: the first repetition of every cell, then the second, each in the order of the
  /// cells.
  std::int64_t priority = 0;
};

struct PlannedCell {
  std::vector<std::string> labels;  // one per axis of the plan; empty where the axis does not exist for this cell
  std::string name;                 // "architecture=Samba,seed=3407"
  std::vector<std::size_t> jobs;    // indices, the training job first where there is one; never empty
  std::string options;              // canonical JSON of {"data":…,"model":…,"train":…}, for the view `runs`
  std::int32_t solution = -1;       // index into the plan's; -1: nothing was solved for
  std::int32_t marks = -1;  // index into the plan's; -1: the comparison with its baseline is fair, or there is none
};

struct PlannedAxis {
  std::string name;
  std::vector<std::string> labels;  // in the order of the file
  bool replicates = false;          // varies nothing but seeds: its cells are repetitions of one experiment
};

/// Data that the sweep names and that are not there. Planning goes on without them; running does not.
struct MissingData {
  std::string path;    // of the manifest or folder, relative to the data root
  std::string place;   // where it was looked for
  std::string remedy;  // the command that would make it, or what is expected there
};

/// A corpus of a mixture that trainings read.
struct PlannedComponent {
  std::string path;       // of its manifest, relative to the data root
  double share = 0;       // of the sequences
  double times_read = 0;  // by the longest of these trainings; beyond 1 it sees some text again
};

struct Plan {
  std::string name;
  std::string question;
  std::string file;                                           // as it was named
  std::vector<std::pair<std::string, std::string>> baseline;  // axis, label
  std::vector<PlannedAxis> axes;
  std::vector<PlannedCell> cells;
  std::vector<PlannedJob> jobs;
  std::vector<Solution> solutions;
  /// What makes the comparison of a cell with its baseline unfair: distinct lists of phrases ("parameters +3.4 %").
  std::vector<std::vector<std::string>> marks;
  /// Data digest to the manifest's path relative to the data root: what launch.json tells the worker.
  std::map<std::string, std::string> data;
  std::map<std::string, std::vector<PlannedComponent>> mixtures;  // by the path of the manifest
  std::vector<MissingData> missing;
  SlurmOptions slurm;
  std::vector<std::string> worker_command;  // of a foreign worker; empty: mestre-worker
  /// What a worker must be able to do for the jobs that are not finished, in the words of features_of(job), with the
  /// name of the first cell that needs it.
  std::map<std::string, std::string> features;
};

/// What the plan may know of the past.
struct PlanContext {
  std::string data_root;
  std::string cache;                            // folder that may remember what is slow to read; empty: none
  IdTable finished;                             // ids of jobs
  std::map<std::string, MeasuredSpeed> speeds;  // by speed_key
};

/// Reads, expands, checks and prices the sweep in `file`. Nothing where there are errors; all that was found is in
/// `diagnostics`. Throws Error (not_found) only where the file itself cannot be read.
[[nodiscard]] std::optional<Plan> plan_sweep(const std::string& file, const PlanContext& context,
                                             Diagnostics& diagnostics);

/// The resolved sweep as JSON, byte for byte the same for the same plan: what `mestre run` keeps in sweeps/<name>/ and
/// the store can be rebuilt from.
[[nodiscard]] std::string plan_json(const Plan& plan);

}  // namespace mestre
