// Carries out a training job: from the newest usable checkpoint, or afresh, to its last step. A stage's fresh start
// takes the weights of the last checkpoint of the job before it, and nothing else of it.
//
// The losses of a run do not depend on where it was interrupted: with the same device, build, threads and micro-batch
// they are the same to the last bit. What the journal gets:
//   metrics every log_interval steps and at the last: loss (nats per token, mean over the steps since the point
//   before), learning_rate and
//     gradient_norm (of the step), tokens_per_second (over the same steps, checkpoints not counted)
//   progress about once a second; a checkpoint every checkpoint_interval seconds (0: at the end alone), on SIGTERM,
//   before the deadline, and at the end; the last two are kept
#pragma once

#include "core/spec/job.h"
#include "core/train/job_context.h"

namespace mestre {

/// Returns when the job's `finished` line is written. Throws JobFailure (preempted, deadline: after a checkpoint;
/// diverged), Superseded, Error.
void train(const TrainJob& job, const JobContext& context);

}  // namespace mestre
