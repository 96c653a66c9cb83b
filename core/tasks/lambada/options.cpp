#include "core/tasks/lambada/options.h"

#include <algorithm>

namespace mestre {
namespace {

constexpr std::int64_t kItems = 5153;     // passages of the test split
constexpr double kTokensOfPassage = 100;  // assumed, for the estimate

}  // namespace

void LambadaOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "limit",
                 .doc = "passages that are scored, from the first on; 0: all",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1e9},
                limit);
  visitor.visit({.name = "context",
                 .doc = "tokens that the model reads; a longer passage loses its beginning",
                 .unit = Unit::kTokens,
                 .min = 2,
                 .max = 1 << 26},
                context);
}

double LambadaOptions::tokens(std::int64_t) const {
  const std::int64_t passages = limit > 0 ? std::min(limit, kItems) : kItems;
  return static_cast<double>(passages) * std::min(kTokensOfPassage, static_cast<double>(context));
}

}  // namespace mestre
