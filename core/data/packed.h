// A packed corpus, memory-mapped: one long row of tokens.
//
// Owns the mappings. Immutable after opening, so any number of threads may read. `mestre data prepare` replaces whole
// files and never writes into one, so a corpus that is open stays as it was.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/data/manifest.h"

namespace mestre {

class PackedCorpus {
 public:
  /// Maps the files of the manifest. Throws Error: those of read_manifest; bad_input where it is that of a mixture;
  /// not_found where a file is missing; data_corrupt where its size disagrees with the manifest. The contents are
  /// checked by verify().
  explicit PackedCorpus(const fs::path& manifest);
  ~PackedCorpus();
  PackedCorpus(PackedCorpus&&) noexcept;
  PackedCorpus& operator=(PackedCorpus&&) noexcept;

  [[nodiscard]] const Manifest& manifest() const;
  [[nodiscard]] std::int64_t tokens() const;
  /// Copies tokens [begin, begin + out.size()) as int64; throws Error (bug) where the range does not lie inside.
  void read(std::int64_t begin, std::span<std::int64_t> out) const;
  /// Reads everything once and compares the digests, and each token with the vocabulary. Throws Error (data_corrupt)
  /// that names the file.
  void verify() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mestre
