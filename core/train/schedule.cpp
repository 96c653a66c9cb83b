#include "core/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mestre {
namespace {

/// How far `now` lies between two updates, 0 to 1; 1 where there is nothing between them.
double share_of_way(double now, double from, double to) {
  return to <= from ? 1.0 : std::clamp((now - from) / (to - from), 0.0, 1.0);
}

/// What is left of the way from the peak down to the end, 1 to 0.
double height(const TrainOptions& options, double now, double warmup, double last) {
  if (options.schedule == "cosine") return 0.5 * (1.0 + std::cos(std::numbers::pi * share_of_way(now, warmup, last)));
  const double start = std::max(warmup, last - std::round(options.cooldown * last));
  if (now <= start) return 1;
  const double way = share_of_way(now, start, last);
  return options.cooldown_shape == "sqrt" ? 1 - std::sqrt(way) : 1 - way;
}

}  // namespace

double learning_rate(const TrainOptions& options, std::int64_t update) {
  const double peak = options.learning_rate, last = static_cast<double>(options.steps());
  const double per_step = static_cast<double>(options.tokens_per_step());
  const double warmup = std::ceil(options.warmup_tokens > 0 ? static_cast<double>(options.warmup_tokens) / per_step
                                                            : options.warmup * last);
  const double now = static_cast<double>(update);
  if (now < warmup) return peak * now / warmup;
  if (options.schedule == "constant" || last <= warmup) return peak;
  const double share = height(options, now, warmup, last);
  return peak * (options.final_learning_rate + (1.0 - options.final_learning_rate) * share);
}

}  // namespace mestre
