// Steps that had better not be taken: a loss or a gradient that is not finite, or a gradient far larger than those
// before it. What is done about them is declared (train.on_spike). Without Torch.
#pragma once

#include <cstdint>
#include <string>

#include "core/spec/train.h"

namespace mestre {

/// What is remembered from step to step; part of a checkpoint.
struct SpikeMemory {
  std::int64_t spikes = 0;  // so far
  std::int64_t norms = 0;   // of gradients that were taken in
  double usual_norm = 0;    // their mean, in which the last hundred count most
  bool operator==(const SpikeMemory&) const = default;
};

enum class Verdict {
  kUpdate,    // nothing unusual
  kStop,      // the run has diverged
  kSkip,      // no update; the data and the schedule go on
  kRollBack,  // weights and moments return to the last checkpoint at a multiple of train.roll_back_interval; the data
              // and the schedule go on
};

struct Judgement {
  Verdict verdict = Verdict::kUpdate;
  std::string reason;  // "gradient norm 81.2 at step 1200, 40 times the usual"; empty for kUpdate
};

/// Of the step `step` with its loss, nats, and its gradient's norm before clipping. A norm is compared with the usual
/// one once twenty have been seen; those of spikes are not taken in. More than train.max_spikes end the run whatever
/// was declared.
[[nodiscard]] Judgement judge_step(const TrainOptions& options, std::int64_t step, double loss, double norm,
                                   SpikeMemory& memory);

}  // namespace mestre
