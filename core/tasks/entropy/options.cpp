#include "core/tasks/entropy/options.h"

#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/spec/model.h"

namespace mestre {

void EntropyOptions::describe(OptionVisitor& visitor) {
  visitor.visit(
      {.name = "samples", .doc = "texts that are drawn and averaged over", .unit = Unit::kCount, .min = 1, .max = 1e6},
      samples);
  visitor.visit({.name = "new_tokens",
                 .doc = "tokens written greedily after each text, over which attention is averaged",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = 1 << 20},
                new_tokens);
  visitor.visit({.name = "context",
                 .doc = "tokens of text and answer together; a longer text loses its beginning",
                 .unit = Unit::kTokens,
                 .min = 2,
                 .max = 1 << 26},
                context);
  visitor.visit({.name = "seed", .doc = "seed of the texts that are drawn", .min = 0, .max = 9007199254740992.0}, seed);
}

void EntropyOptions::check(const Problem& problem) const {
  if (new_tokens >= context)
    problem("new_tokens", fmt::format("{} new tokens leave no room for a text in {}", new_tokens, context),
            "expected fewer than context");
}

double EntropyOptions::tokens(std::int64_t) const {
  // Once to be continued, where the last token is only written, and once as a whole, to be observed.
  return static_cast<double>(samples) * static_cast<double>(2 * context - 1);
}

std::string EntropyOptions::misfit(const ModelSpec& model) const {
  std::set<std::string_view> types;
  for (const MixerOptions* layer : model.stack()) {
    if (layer->is_observable()) return {};
    types.insert(layer->type());
  }
  return fmt::format("a model of {} has neither attention nor selection", fmt::join(types, " and "));
}

}  // namespace mestre
