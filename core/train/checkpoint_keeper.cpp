#include "core/train/checkpoint_keeper.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.h"

namespace mestre {

CheckpointKeeper::CheckpointKeeper(const JobContext& context, const KeepPolicy& policy, LanguageModel& model,
                                   AdamW& optimizer, TrainingState& state)
    : context_(context), policy_(policy), model_(model), optimizer_(optimizer), state_(state) {}

std::optional<Checkpoint> CheckpointKeeper::restore_newest(std::vector<std::string>& problems) {
  std::vector<Checkpoint> usable = usable_checkpoints(context_.folder, context_.attempt);
  // Older ones are removed in time: that one is gone is no news.
  std::erase_if(usable, [&](const Checkpoint& one) { return !fs::exists(context_.folder / one.file); });
  for (auto one = usable.begin(); one != usable.end(); ++one) {
    try {
      state_ = restore_checkpoint(context_.folder, *one, model_, optimizer_);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCheckpointCorrupt && error.code() != ErrorCode::kNotFound) throw;
      problems.push_back(error.message());
      continue;
    }
    saved_.assign(std::make_reverse_iterator(usable.end()), std::make_reverse_iterator(one));
    known_good_ = 1;
    saved_step_ = state_.step;
    return *one;
  }
  return std::nullopt;
}

bool CheckpointKeeper::is_due() const {
  if (is_saved()) return false;
  const double interval = context_.launch.options.checkpoint_interval;
  return policy_.wants(state_.step) || (interval > 0 && since_save_.seconds() >= interval);
}

double CheckpointKeeper::save() {
  context_.require_ownership();
  const Stopwatch watch;
  saved_.push_back(write_checkpoint(context_.folder, context_.attempt, model_, optimizer_, state_));
  context_.require_ownership();
  context_.journal->checkpoint(state_.step, saved_.back().file, saved_.back().digest);
  saved_step_ = state_.step;
  ++known_good_;
  // The one before is the way back should the newest prove unreadable; until this attempt has as many as are to stay,
  // those of older attempts, damaged ones too, are left alone.
  if (static_cast<std::int64_t>(known_good_) >= policy_.last) {
    saved_ = checkpoints_to_keep(saved_, policy_, state_.best ? state_.best->step : -1);
    remove_other_checkpoints(context_.folder, context_.attempt, saved_);
  }
  const double seconds = watch.seconds();
  longest_save_ = std::max(longest_save_, seconds);
  since_save_.restart();
  return seconds;
}

std::int64_t CheckpointKeeper::roll_back() {
  const Checkpoint* target = roll_back_target(saved_, policy_);
  if (target == nullptr)
    throw Error(ErrorCode::kCheckpointCorrupt,
                fmt::format("'{}' has no checkpoint to roll back to", context_.folder.native()));
  // Its state is that of its step; only its weights and moments are wanted.
  (void)restore_checkpoint(context_.folder, *target, model_, optimizer_);
  return target->step;
}

}  // namespace mestre
