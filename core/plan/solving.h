// What a [[solve]] comes to for one model: the quantity it matches, the candidates it tries, what it says when none
// fits. Where the target comes from and which cells are meant is the resolver's.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/diagnostics.h"
#include "core/plan/plan.h"
#include "core/spec/model.h"
#include "core/spec/sweep.h"

namespace mestre {

/// What a model is trained with, as far as a quantity depends on it.
struct Surroundings {
  std::int64_t vocabulary = 0;  // the tokenizer's
  const TrainOptions& train;
  const LaunchOptions& launch;
};

/// The quantity of a resolved model.
[[nodiscard]] double quantity_of(SolveQuantity quantity, const ModelSpec& model, const TrainOptions& train,
                                 const LaunchOptions& launch);

struct SolveOutcome {
  std::optional<Solution> solution;
  bool was_reported = false;  // why there is none: the option is no whole number, or no value comes near enough
};

/// Chooses the option. `draft` is the model with every option but this one, not yet resolved nor checked; `owner` is
/// what messages call it. Neither a solution nor a report where the model is impossible whatever the value.
[[nodiscard]] SolveOutcome solve_option(const SolveRequest& request, double target, const ModelSpec& draft,
                                        const std::string& owner, const Surroundings& around, Diagnostics& diagnostics);

}  // namespace mestre
