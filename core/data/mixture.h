// Mixtures of corpora: which corpus each sequence of a training is read from, and which of the corpus's sequences it
// is.
//
// Weights are shares of the sequences. They become whole slots of a period of 65,536 sequences, which the manifest
// holds; so a mixture is the same whoever computed its shares. Sequence s has position p = s mod 65,536 in its period
// and rank (46,073 p + offset) mod 65,536 there; the slots of the components lie one behind the other on the ranks, and
// say whose it is. The multiplier is odd, so each rank comes once a period: shares are exact over any 65,536 sequences.
// And it is the only one whose continued fraction over 65,536 holds nothing beyond 2, so the ranks are spread evenly
// over every stretch of positions, not only in the long run: in each step and in a short run as well, a component has
// its share but for five sequences or so, where drawing lots would leave it to the square root of their number.
//
// The k-th sequence that a component is given is the k-th of its own order (core/data/sampler.h): all of its blocks are
// read before one is read again. Its seed comes from the run's and from its digest, so in what order a corpus is read
// depends on neither its share nor the others, and cells that differ in their mixtures read the same blocks of it.
//
// Pure, and a look into a table of a period, so the position in the data is the number of sequences, as for a corpus.
// Frozen by vectors in mixture_test.cpp: what would change them changes the first line of mixture_digest's text.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/data/manifest.h"

namespace mestre {

class MixtureOrder {
 public:
  struct Place {
    std::size_t component = 0;
    std::int64_t index = 0;  // in the component's own order
    friend bool operator==(const Place&, const Place&) = default;
  };

  /// `components` as a manifest has them.
  MixtureOrder(std::span<const MixtureComponent> components, std::int64_t seed);
  /// Of sequence `sequence`, at least 0.
  [[nodiscard]] Place place(std::int64_t sequence) const;

 private:
  struct Slot {
    std::uint16_t component = 0;
    std::uint16_t index = 0;  // among its component's of the period
  };
  std::vector<Slot> period_;
  std::vector<std::int64_t> slots_;
};

/// The seed of a component's own order.
[[nodiscard]] std::int64_t component_seed(std::int64_t seed, std::string_view digest);

/// Throws Error (data_corrupt) where the manifest `found` is not that of the corpus which `mixture` was made of.
void require_component(const Manifest& found, const MixtureComponent& component, const fs::path& mixture);

}  // namespace mestre
