// Carries out an evaluation job: the last checkpoint of a finished training job, scored by a task.
#pragma once

#include <span>
#include <string_view>

#include <c10/core/Device.h>

#include "core/data/packed.h"
#include "core/model/language_model.h"
#include "core/spec/job.h"
#include "core/train/job_context.h"

namespace mestre {

/// What a task is run with; lent for the call.
struct Evaluation {
  LanguageModel& model;
  const PackedCorpus& corpus;
  const JobContext& context;
  at::Device device = at::kCPU;  // where the model is
  std::int64_t tokens = 0;       // that the model has read; the task counts
};

/// The table of tasks' runs, one line each; their options stand in core/tasks/registry.
struct TaskRun {
  std::string_view name;
  void (*run)(const TaskOptions& options, Evaluation& evaluation);
};
[[nodiscard]] std::span<const TaskRun> task_runs();

/// Returns when the job's `finished` line is written. The checkpoint is that of the training job in the folder beside
/// this job's; `started` names it, relative to this job's folder. Throws Error (bad_input where the training job has
/// not finished), JobFailure, Superseded.
void evaluate(const EvaluateJob& job, const JobContext& context);

}  // namespace mestre
