// prepare.json: from what a prepared folder was made, so that the same command need not make it again.
//
// A private file of prepare: not part of the data's identity, and wherever it is not believed, the data are made again,
// with the same digests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/data/documents.h"
#include "core/data/pack_tally.h"

namespace mestre {

struct PrepareStamp {
  std::string command;         // JSON: what decides the result besides the sources' contents
  std::string sources;         // digest over key, size and times of every source
  std::int64_t newest = 0;     // ns since the epoch: the latest change of any source
  std::int64_t listed_at = 0;  // ns since the epoch: when the sources were listed, before any was read
  std::string outputs;         // names, sizes and times of the files written
  PackTally tally;

  /// False where a source was changed so shortly before the listing that a later change could bear the same time.
  [[nodiscard]] bool is_conclusive() const;
};

inline constexpr std::string_view kStampFile = "prepare.json";

[[nodiscard]] std::string digest_of_sources(const SourceList& list);
[[nodiscard]] std::int64_t newest_change(const SourceList& list);
/// Names, sizes and times of all files in the folder but the stamp.
[[nodiscard]] std::string signature_of_outputs(const fs::path& folder);

[[nodiscard]] std::string to_json(const PrepareStamp& stamp);
/// Nothing where the folder has no stamp, or one that this version did not write.
[[nodiscard]] std::optional<PrepareStamp> read_prepare_stamp(const fs::path& folder);

}  // namespace mestre
