#include "core/train/keep.h"

#include <algorithm>

namespace mestre {

bool KeepPolicy::wants(std::int64_t step) const {
  return (every > 0 && step > 0 && step % every == 0) || (roll_back > 0 && step % roll_back == 0);
}

KeepPolicy keep_policy(const LaunchOptions& launch, const TrainOptions& train) {
  return {.last = launch.keep_last,
          .every = launch.keep_every,
          .roll_back = train.on_spike == "roll_back" ? train.roll_back_interval : 0,
          .best = launch.keep_best};
}

std::vector<Checkpoint> checkpoints_to_keep(const std::vector<Checkpoint>& saved, const KeepPolicy& policy,
                                            std::int64_t best_step) {
  const Checkpoint* target = roll_back_target(saved, policy);
  std::vector<Checkpoint> kept;
  for (std::size_t i = 0; i < saved.size(); ++i) {
    const Checkpoint& one = saved[i];
    const bool is_new = static_cast<std::int64_t>(saved.size() - i) <= policy.last;
    const bool is_regular = policy.every > 0 && one.step > 0 && one.step % policy.every == 0;
    const bool is_best = policy.best && one.step == best_step;
    if (is_new || is_regular || is_best || &one == target) kept.push_back(one);
  }
  return kept;
}

const Checkpoint* roll_back_target(const std::vector<Checkpoint>& saved, const KeepPolicy& policy) {
  if (policy.roll_back == 0) return nullptr;
  const auto newest = std::find_if(saved.rbegin(), saved.rend(),
                                   [&](const Checkpoint& one) { return one.step % policy.roll_back == 0; });
  return newest == saved.rend() ? nullptr : &*newest;
}

}  // namespace mestre
