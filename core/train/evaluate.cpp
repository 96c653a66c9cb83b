#include "core/train/evaluate.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/journal/folders.h"
#include "core/tasks/entropy/run.h"
#include "core/tasks/perplexity/run.h"
#include "core/train/batches.h"
#include "core/train/checkpoint.h"
#include "core/train/device.h"
#include "core/train/resources.h"

namespace mestre {
namespace {

constexpr std::array<TaskRun, 2> kRuns = {{
    {"entropy", run_entropy},
    {"perplexity", run_perplexity},
}};

ModelSpec model_of(const fs::path& training_folder) {
  const Job job = parse_job(read_file(training_folder / "job.json"));
  const auto* training = std::get_if<TrainJob>(&job);
  if (training == nullptr)
    throw Error(ErrorCode::kBadInput, fmt::format("the job in '{}' does not train", training_folder.native()));
  return training->model;
}

}  // namespace

std::span<const TaskRun> task_runs() {
  return kRuns;
}

void evaluate(const EvaluateJob& job, const JobContext& context) {
  const auto* run =
      std::find_if(kRuns.begin(), kRuns.end(), [&](const TaskRun& each) { return each.name == job.task->type(); });
  if (run == kRuns.end()) throw Error(ErrorCode::kBug, fmt::format("task '{}' has no run", job.task->type()));
  const fs::path training_folder = sibling_job(context.folder, job.checkpoint_job);
  const PackedCorpus corpus = open_corpus(context.launch, job.data);
  const at::Device device = device_of(context.launch);
  LanguageModel model(model_of(training_folder));
  const Checkpoint checkpoint = restore_last_weights(training_folder, model);
  const Restored restored = {
      .file = fmt::format("../../{}/{}/{}", job.checkpoint_job.substr(0, 2), job.checkpoint_job, checkpoint.file),
      .digest = checkpoint.digest,
      .step = checkpoint.step};
  model.to(device);
  context.journal->started(context.id, context.attempt, &restored, 0);

  const at::NoGradGuard no_gradient;
  const Stopwatch watch;
  Evaluation evaluation = {.model = model, .corpus = corpus, .context = context, .device = device};
  run->run(*job.task, evaluation);
  context.require_ownership();
  const double seconds = watch.seconds();
  std::vector<Metric> summary = {
      {"tokens", static_cast<double>(evaluation.tokens)},
      {"tokens_per_second", static_cast<double>(evaluation.tokens) / std::max(seconds, 1e-6)},
      {"seconds", seconds},
      {"peak_memory_bytes", peak_memory_bytes()}};
  if (!device.is_cpu()) summary.emplace_back("peak_device_memory_bytes", peak_device_memory_bytes(device));
  context.journal->finished(summary);
}

}  // namespace mestre
