// Which checkpoints of a job an attempt may start from, as the journals of the earlier attempts say. Without Torch.
//
// Only a checkpoint with a line in a journal counts: its line is synced after it and after all metrics before it, so
// nothing is lost by going on from there. An attempt's checkpoints behind a step that a later attempt restored are
// superseded together with its metrics.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/files.h"

namespace mestre {

struct Checkpoint {
  std::string file;    // its folder, relative to the job's: "attempt-1/checkpoints/step-00002000"
  std::string digest;  // XXH3-128 of its state.json, which holds the digests of the other files
  std::int64_t step = 0;
  int attempt = 0;
};

/// Those of all attempts below `before`, newest first; a journal is trusted as far as its chain of checksums reaches.
/// Some may be gone by now.
[[nodiscard]] std::vector<Checkpoint> usable_checkpoints(const fs::path& job_folder, int before);

}  // namespace mestre
