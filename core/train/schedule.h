// The learning rate of each update.
#pragma once

#include <cstdint>

#include "core/spec/train.h"

namespace mestre {

/// Of update `update` (1 … options.steps()): linear from 0 to the peak over the warm-up, then as options.schedule says.
/// The cosine, and the cooldown of wsd (warm-up, stable, decay: arXiv 2404.06395; 1 - sqrt: arXiv 2405.18392), end at
/// final_learning_rate x peak with the last update. Pure.
[[nodiscard]] double learning_rate(const TrainOptions& options, std::int64_t update);

}  // namespace mestre
