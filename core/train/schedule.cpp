#include "core/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mestre {

double learning_rate(const TrainOptions& options, std::int64_t update) {
  const double peak = options.learning_rate, last = static_cast<double>(options.steps());
  const double warmup = std::ceil(options.warmup * last);
  const double now = static_cast<double>(update);
  if (now < warmup) return peak * now / warmup;
  if (options.schedule == "constant" || last <= warmup) return peak;
  const double progress = std::clamp((now - warmup) / (last - warmup), 0.0, 1.0);
  const double share = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return peak * (options.final_learning_rate + (1.0 - options.final_learning_rate) * share);
}

}  // namespace mestre
