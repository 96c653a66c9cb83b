#include "core/train/spikes.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace mestre {
namespace {

constexpr std::int64_t kSettled = 20;    // norms before any is judged
constexpr std::int64_t kRemember = 100;  // norms that the mean is over, about

std::string what_is_wrong(const TrainOptions& options, double loss, double norm, const SpikeMemory& memory) {
  if (!std::isfinite(loss) || !std::isfinite(norm))
    return fmt::format("loss {} and gradient norm {}, expected finite ones", loss, norm);
  if (options.spike_factor == 0 || memory.norms < kSettled || norm <= options.spike_factor * memory.usual_norm)
    return "";
  return fmt::format("gradient norm {:.4g}, {:.3g} times the usual one", norm, norm / memory.usual_norm);
}

Verdict declared(const TrainOptions& options) {
  if (options.on_spike == "skip") return Verdict::kSkip;
  return options.on_spike == "roll_back" ? Verdict::kRollBack : Verdict::kStop;
}

}  // namespace

Judgement judge_step(const TrainOptions& options, std::int64_t step, double loss, double norm, SpikeMemory& memory) {
  const std::string wrong = what_is_wrong(options, loss, norm, memory);
  if (wrong.empty()) {
    memory.norms = std::min(memory.norms + 1, kRemember);
    memory.usual_norm += (norm - memory.usual_norm) / static_cast<double>(memory.norms);
    return {};
  }
  const Verdict verdict = declared(options);
  std::string reason = fmt::format("{} at step {}", wrong, step);
  if (verdict == Verdict::kStop) return {verdict, reason + "; try a lower learning rate, or train.on_spike"};
  if (++memory.spikes > options.max_spikes)
    return {Verdict::kStop, fmt::format("{}, after {} spikes: more than train.max_spikes", reason, options.max_spikes)};
  return {verdict, std::move(reason)};
}

}  // namespace mestre
