// The learning rate of each update.
#pragma once

#include <cstdint>

#include "core/spec/train.h"

namespace mestre {

/// Of update `update` (1 … options.steps()): linear from 0 to the peak over the warm-up, then as options.schedule says;
/// the cosine ends at final_learning_rate x peak with the last update. Pure.
[[nodiscard]] double learning_rate(const TrainOptions& options, std::int64_t update);

}  // namespace mestre
