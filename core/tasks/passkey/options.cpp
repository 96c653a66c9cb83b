#include "core/tasks/passkey/options.h"

#include <algorithm>

#include <fmt/format.h>

namespace mestre {

void PasskeyOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "lengths",
                 .doc = "tokens of a document, question and answer included, ascending",
                 .unit = Unit::kTokens,
                 .min = 256,
                 .max = 1 << 26,
                 .required = true},
                lengths);
  visitor.visit({.name = "depths",
                 .doc = "places of the key, evenly from the beginning (0) to the end (1)",
                 .unit = Unit::kCount,
                 .min = 2,
                 .max = 1001},
                depths);
  visitor.visit(
      {.name = "keys", .doc = "documents for each length and depth", .unit = Unit::kCount, .min = 1, .max = 1e6}, keys);
  visitor.visit({.name = "digits", .doc = "of a key; the first is not 0", .unit = Unit::kCount, .min = 1, .max = 15},
                digits);
  visitor.visit({.name = "seed", .doc = "seed of the keys", .min = 0, .max = 9007199254740992.0}, seed);
}

void PasskeyOptions::check(const Problem& problem) const {
  for (std::size_t i = 1; i < lengths.size(); ++i)
    if (lengths[i] <= lengths[i - 1])
      problem("lengths", fmt::format("document length {} follows {}", lengths[i], lengths[i - 1]),
              "expected ascending lengths, each once");
}

double PasskeyOptions::tokens(std::int64_t) const {
  double a_document_of_each = 0;
  for (const std::int64_t length : lengths) a_document_of_each += static_cast<double>(length);
  return a_document_of_each * static_cast<double>(depths * keys);
}

std::int64_t PasskeyOptions::longest() const {
  return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
}

}  // namespace mestre
