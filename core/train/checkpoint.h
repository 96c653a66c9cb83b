// A training run on disk: weights, optimizer, random generator and position in the data.
//
//   attempt-N/checkpoints/step-00002000/model.safetensors      parameters by name
//                                       optimizer.safetensors  moments by parameter, and the state of Torch's generator
//                                       (`rng.cpu`)
//                                       state.json             TrainingState; bytes and digest of each file
// A checkpoint is written under another name, synced, renamed, its folder synced; only then does its line go into the
// journal. Its digest is that of state.json, which fixes all the rest.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/files.h"
#include "core/model/language_model.h"
#include "core/model/safetensors.h"
#include "core/train/adamw.h"
#include "core/train/lineage.h"
#include "core/train/spikes.h"

namespace mestre {

/// A loss on the validation text.
struct Validated {
  std::int64_t step = 0;
  double loss = 0;  // nats per token
};

/// All of a run that is neither weights nor optimizer.
struct TrainingState {
  std::int64_t step = 0;       // updates made
  std::int64_t sequences = 0;  // read so far: the position in the data
  double interval_loss = 0;    // sum over the steps since the last point of the curves, nats per token
  std::int64_t interval_steps = 0;
  double last_loss = 0;  // of the last point of the curves
  SpikeMemory spikes;
  std::optional<Validated> best;  // the best validation so far
  std::int64_t micro_batch = 0;   // sequences: with another one, sums are other bits
};

/// Writes a checkpoint of attempt `attempt`, durable when this returns.
[[nodiscard]] Checkpoint write_checkpoint(const fs::path& job_folder, int attempt, const LanguageModel& model,
                                          const AdamW& optimizer, const TrainingState& state);

/// Reads everything back, checking digests before anything is changed. Throws Error: not_found, checkpoint_corrupt.
[[nodiscard]] TrainingState restore_checkpoint(const fs::path& job_folder, const Checkpoint& checkpoint,
                                               LanguageModel& model, AdamW& optimizer);
/// The weights alone.
void restore_weights(const fs::path& job_folder, const Checkpoint& checkpoint, LanguageModel& model);

/// The weights of a finished training's last checkpoint. Throws Error: bad_input where the training in `folder` has not
/// finished; checkpoint_corrupt.
Checkpoint restore_last_weights(const fs::path& folder, LanguageModel& model);

/// All of a finished training, to go on from there as if it had not ended; throws as restore_last_weights.
[[nodiscard]] TrainingState restore_last(const fs::path& folder, LanguageModel& model, AdamW& optimizer);

/// The weights in the folder of a checkpoint, by the names of the parameters; their digest is that in its state.json,
/// which is taken at its word. Throws Error: not_found, checkpoint_corrupt.
[[nodiscard]] Safetensors read_checked_weights(const fs::path& checkpoint_folder);

/// Removes all checkpoints of attempts up to `attempt` but those in `keep`, unfinished ones too.
void remove_other_checkpoints(const fs::path& job_folder, int attempt, const std::vector<Checkpoint>& keep);

}  // namespace mestre
