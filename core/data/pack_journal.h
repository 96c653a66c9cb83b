// The journal of a packing that is under way: how far it is durable, so that a later run need not do that part again.
//
// It lies in the unpublished folder: a line that says which packing this is, then one line per checkpoint. A line that
// was cut off counts for nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.h"
#include "core/data/pack_writer.h"
#include "core/data/prepare_stamp.h"
#include "core/data/text_unit.h"

namespace mestre {

struct PackCheckpoint {
  ReadPosition position;
  std::int64_t source_bytes = 0;  // up to there
  PackTally tally;
  std::vector<SkippedSource> skipped, bad;  // the first few
  PackState train, validation;
};

inline constexpr std::string_view kJournalFile = "journal.jsonl";

class PackJournal {
 public:
  /// Opens the journal in `folder`, and begins it where `stamp` is that of a new packing.
  PackJournal(const fs::path& folder, const PrepareStamp& stamp);
  /// What is durable of an earlier attempt.
  [[nodiscard]] const std::optional<PackCheckpoint>& last() const { return last_; }
  /// To be called when all that the checkpoint speaks of is durable.
  void append(const PackCheckpoint& checkpoint);

 private:
  fs::path path_;
  FileDescriptor file_;
  std::optional<PackCheckpoint> last_;
};

/// True where the journal in `folder` is that of the same command on the same sources.
[[nodiscard]] bool may_carry_on(const fs::path& folder, const PrepareStamp& stamp);

}  // namespace mestre
