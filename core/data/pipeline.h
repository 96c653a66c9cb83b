// Reads on one thread, encodes on several, and hands the results over on the caller's thread, in order.
//
// What is under way is bounded by the bytes of its text: reading waits for writing. The first failure on any thread
// stops all of them and is thrown to the caller.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>

#include "core/data/text_unit.h"

namespace mestre {

struct Pipeline {
  std::function<std::optional<TextUnit>()> read;
  std::function<std::function<EncodedUnit(TextUnit)>()> make_encoder;  // called once on each encoding thread
  std::function<void(EncodedUnit)> write;
  int threads = 1;             // that encode
  std::size_t read_ahead = 0;  // bytes of text that are read and not yet written; one unit is always allowed
};

void run(const Pipeline& pipeline);

}  // namespace mestre
