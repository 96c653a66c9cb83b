// What a training reads: one packed corpus, or a mixture of several, and in what order.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/data/mixture.h"
#include "core/data/packed.h"
#include "core/data/sampler.h"

namespace mestre {

/// Owns the mappings. Immutable after opening, so any number of threads may read.
class TrainingText {
 public:
  /// Opens the corpus of a manifest, or the components of a mixture, which lie below the data root `root`. Throws
  /// Error: those of PackedCorpus; data_corrupt where a component is another corpus than the mixture was made of.
  TrainingText(const fs::path& manifest, const fs::path& root);
  [[nodiscard]] const Manifest& manifest() const { return manifest_; }
  /// The corpus itself, or one for each component, in the manifest's order.
  [[nodiscard]] const std::vector<PackedCorpus>& corpora() const { return corpora_; }

 private:
  Manifest manifest_;
  std::vector<PackedCorpus> corpora_;
};

/// Which block each sequence of a run reads. Pure and thread-safe.
class TextOrder {
 public:
  struct Block {
    std::size_t corpus = 0;  // of the text's
    std::int64_t begin = 0;  // its first token; it is length + 1 tokens long
    friend bool operator==(const Block&, const Block&) = default;
  };

  /// `length` of context. Throws Error (bad_input) where a corpus has no whole block.
  TextOrder(const TrainingText& text, std::int64_t length, std::int64_t seed);
  /// Of sequence `sequence`, at least 0.
  [[nodiscard]] Block block(std::int64_t sequence) const;

 private:
  std::optional<MixtureOrder> mixture_;
  std::vector<BlockSampler> samplers_;  // one for each corpus
};

}  // namespace mestre
