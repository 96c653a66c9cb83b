// The checkpoints of one training: found again, written when due, kept by policy, returned to.
//
// Refers to context, model, optimizer and state, which outlive it. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/train/checkpoint.h"
#include "core/train/job_context.h"
#include "core/train/keep.h"
#include "core/train/resources.h"

namespace mestre {

class CheckpointKeeper {
 public:
  CheckpointKeeper(const JobContext& context, const KeepPolicy& policy, LanguageModel& model, AdamW& optimizer,
                   TrainingState& state);

  /// Restores the newest that an earlier attempt left whole; nothing where there is none. One that is damaged is passed
  /// over, and what is wrong with it added to `problems`.
  [[nodiscard]] std::optional<Checkpoint> restore_newest(std::vector<std::string>& problems);

  [[nodiscard]] bool is_due() const;
  [[nodiscard]] bool is_saved() const { return saved_step_ == state_.step; }
  /// Writes the state as it is, durable and with its line in the journal when this returns, and removes what the policy
  /// does not keep. Returns the seconds that it took.
  double save();
  /// The longest that save took.
  [[nodiscard]] double longest_save() const { return longest_save_; }

  /// Weights and moments become those of the policy's last checkpoint to return to; the rest of the state stays.
  /// Returns its step. Throws Error (checkpoint_corrupt) where it cannot be read.
  std::int64_t roll_back();

 private:
  const JobContext& context_;
  KeepPolicy policy_;
  LanguageModel& model_;
  AdamW& optimizer_;
  TrainingState& state_;
  std::vector<Checkpoint> saved_;  // that are on the disk and belong to this run, ascending steps
  std::size_t known_good_ = 0;     // of these, written or read by this attempt
  std::int64_t saved_step_ = -1;
  double longest_save_ = 0;
  Stopwatch since_save_;
};

}  // namespace mestre
