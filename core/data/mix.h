// Writes the manifest of a mixture: what `mestre data mix` does.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/data/manifest.h"

namespace mestre {

struct MixPart {
  std::string manifest;  // of a corpus, relative to the data root
  double weight = 0;     // beside the others'
};

struct MixOptions {
  fs::path root;     // the data root
  std::string name;  // of the result, below the root
  std::vector<MixPart> parts;
  bool force = false;  // replace other data of the same name
};

/// Slots of each weight (positive and finite), kMixtureSlots together, by largest remainders; 0 for a weight that is
/// too small beside the others.
[[nodiscard]] std::vector<std::int64_t> slots_of(std::span<const double> weights);

/// Writes <root>/<name>/train.manifest, and beside it the tokenizer's model where the corpora have one; nothing is read
/// but manifests. The order of the parts does not matter. Throws Error: bad_input where there are fewer than two parts,
/// two hold the same text, one is itself a mixture or lies in the folder that would be replaced, tokenizers differ, a
/// weight is not positive or its share smaller than one slot; not_found where a corpus is not there; as prepare() where
/// other data are in the way.
Manifest mix(const MixOptions& options);

}  // namespace mestre
