// Packs a list of sources into the files of a folder: the work between `mestre data prepare`'s look at the sources and
// its publishing of the result.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/data/pack_journal.h"
#include "core/data/pack_writer.h"
#include "core/data/pipeline.h"
#include "core/data/text_unit.h"

namespace mestre {

/// How the work is carried out; what comes out does not depend on it.
struct PackPace {
  int threads = 0;                                    // that encode; 0: one for each core
  std::size_t read_ahead = 0;                         // bytes of text under way; 0: 4 MiB a thread, 16 to 192 MiB
  std::int64_t sync_every = std::int64_t{128} << 20;  // bytes of text between two checkpoints
};

struct PackProgress {
  std::int64_t done = 0;   // bytes of the sources on disk
  std::int64_t total = 0;  // of all of them
  std::int64_t text = 0;   // bytes of text that this run packed
};

struct PackSettings {
  std::string text_key;  // the member of a line that holds its text
  double holdout = 0;
  PackPace pace;
};

class SourcePacker {
 public:
  /// Carries on where the journal of an earlier attempt in `folder` says so. Without a journal nothing can be carried
  /// on: `stamp` must be conclusive for one. All references outlive it.
  SourcePacker(const SourceList& sources, const Tokenizer& tokenizer, const PackSettings& settings,
               const PrepareStamp& stamp, const fs::path& folder);

  /// Packs what is left. Throws what TextStream and files.h say.
  void run(const std::function<void(const PackProgress&)>& progress);

  [[nodiscard]] const PackCheckpoint& state() const { return state_; }
  [[nodiscard]] std::int64_t train_documents() const { return train_->documents(); }
  [[nodiscard]] std::int64_t validation_documents() const { return validation_ ? validation_->documents() : 0; }
  [[nodiscard]] Manifest finish_train() { return train_->finish(tokenizer_.identity()); }
  /// Only where there is a holdout.
  [[nodiscard]] Manifest finish_validation() { return validation_->finish(tokenizer_.identity()); }

 private:
  void open_writers(const fs::path& folder);
  void write(EncodedUnit unit);
  void checkpoint();

  const SourceList& sources_;
  const Tokenizer& tokenizer_;
  const PackSettings& settings_;
  std::optional<PackJournal> journal_;
  std::unique_ptr<PackWriter> train_, validation_;
  PackCheckpoint state_;              // of what is written, whether durable or not; the writers' states excepted
  std::int64_t text_before_ = 0;      // bytes that an earlier attempt packed
  std::int64_t checkpoint_text_ = 0;  // bytes packed at the last checkpoint
};

}  // namespace mestre
