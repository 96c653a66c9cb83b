// Which checkpoints of a training stay on the disk. Pure, without Torch.
#pragma once

#include <cstdint>
#include <vector>

#include "core/spec/train.h"
#include "core/train/lineage.h"

namespace mestre {

/// What a training wants to find again.
struct KeepPolicy {
  std::int64_t last = 2;       // so many of the newest
  std::int64_t every = 0;      // those at multiples of so many steps; 0: none
  std::int64_t roll_back = 0;  // the newest at a multiple of so many steps, to return to; 0: none
  bool best = false;           // that at the best validation

  /// Whether a checkpoint must be written at this step, whatever the time.
  [[nodiscard]] bool wants(std::int64_t step) const;
};
[[nodiscard]] KeepPolicy keep_policy(const LaunchOptions& launch, const TrainOptions& train);

/// Those of `saved` (ascending steps) that stay, in the same order. `best_step`: -1 where there is none.
[[nodiscard]] std::vector<Checkpoint> checkpoints_to_keep(const std::vector<Checkpoint>& saved,
                                                          const KeepPolicy& policy, std::int64_t best_step);

/// The newest of `saved` that a roll back returns to; nullptr where there is none.
[[nodiscard]] const Checkpoint* roll_back_target(const std::vector<Checkpoint>& saved, const KeepPolicy& policy);

}  // namespace mestre
