// A folder of weights that were not trained here (model.checkpoint), as the plan sees it: by the digest of its
// contents.
//
// Reading the weights of a large model takes minutes, so digests are remembered in a file of the cache folder, by path,
// size and time of change.
#pragma once

#include <optional>
#include <string>

#include "core/base/files.h"

namespace mestre {

struct CheckpointFolder {
  std::string digest;  // of the names, sizes and contents of config.json and all *.safetensors
  std::string config;  // text of config.json
};

/// Nothing where there is no folder, no config.json in it, or no weights. `cache` is a folder to remember digests in,
/// which is made if need be; empty: none. Throws Error (io) where a file cannot be read; the cache never fails.
[[nodiscard]] std::optional<CheckpointFolder> read_checkpoint_folder(const fs::path& folder, const fs::path& cache);

}  // namespace mestre
