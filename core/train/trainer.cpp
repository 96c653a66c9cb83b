#include "core/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/journal/folders.h"
#include "core/train/batches.h"
#include "core/train/checkpoint.h"
#include "core/train/device.h"
#include "core/train/resources.h"
#include "core/train/schedule.h"

namespace mestre {
namespace {

constexpr double kProgressInterval = 1;  // s
constexpr std::size_t kKeptCheckpoints = 2;
constexpr double kDeadlineMargin = 2;  // s, besides a step and twice the longest checkpoint so far

class Training {
 public:
  Training(const TrainJob& job, const JobContext& context)
      : job_(job),
        options_(job.train),
        context_(context),
        corpus_(open_corpus(context.launch, job.data)),
        batches_(corpus_, options_),
        model_(job.model),
        device_(device_of(context.launch)),
        micro_batch_(context.launch.micro_batch > 0 ? std::min(context.launch.micro_batch, options_.sequences_per_step)
                                                    : options_.sequences_per_step) {
    at::manual_seed(static_cast<std::uint64_t>(options_.seed_init));
    model_.initialize(options_.seed_init);
    model_.to(device_);
    optimizer_.emplace(model_, options_);
  }

  void run() {
    start();
    while (state_.step < options_.steps()) {
      stop_where_asked();
      step();
      if (state_.step % std::max<std::int64_t>(context_.launch.log_interval, 1) == 0 || state_.step == options_.steps())
        log_point();
      if (since_progress_.seconds() >= kProgressInterval) report_progress();
      if (context_.launch.checkpoint_interval > 0 && since_checkpoint_.seconds() >= context_.launch.checkpoint_interval)
        save();
    }
    if (saved_step_ != state_.step) save();
    finish();
  }

 private:
  /// Restores the newest checkpoint that is whole; one that is not costs a warning and the way from the one before.
  void start() {
    std::vector<std::string> problems;
    for (const Checkpoint& checkpoint : usable_checkpoints(context_.folder, context_.attempt)) {
      try {
        state_ = restore_checkpoint(context_.folder, checkpoint, model_, *optimizer_);
        saved_.push_back(checkpoint);
        break;
      } catch (const Error& error) {
        // Older checkpoints are removed in time: that one is gone is no news.
        if (error.code() == ErrorCode::kNotFound) continue;
        if (error.code() != ErrorCode::kCheckpointCorrupt) throw;
        problems.push_back(error.message());
      }
    }
    const bool afresh = saved_.empty();
    if (afresh && !job_.from.empty()) {
      const Checkpoint from = restore_last_weights(sibling_job(context_.folder, job_.from), model_);
      context_.log(fmt::format("a stage that goes on from step {} of job {}", from.step, job_.from));
    }
    const Restored restored =
        afresh ? Restored{} : Restored{.file = saved_.back().file, .digest = saved_.back().digest, .step = state_.step};
    saved_step_ = afresh ? -1 : state_.step;
    context_.journal->started(context_.id, context_.attempt, afresh ? nullptr : &restored, options_.steps());
    for (const std::string& problem : problems) context_.journal->warning("checkpoint_corrupt", problem);
    context_.log(fmt::format("{} parameters, {} steps of {} sequences x {} tokens, from step {}",
                             model_.parameter_count(), options_.steps(), options_.sequences_per_step,
                             options_.sequence_length, state_.step));
    first_step_ = state_.step;
    interval_start_step_ = state_.step;
    interval_.restart();
    whole_.restart();
    report_progress();
  }

  /// One update: micro-batches forward and backward, clipping, AdamW.
  void step() {
    const Stopwatch watch;
    optimizer_->zero_gradients();
    const double loss = accumulate_gradients();
    gradient_norm_ = optimizer_->gradient_norm();
    if (!std::isfinite(loss) || !std::isfinite(gradient_norm_)) {
      throw JobFailure(
          Cause::kDiverged,
          fmt::format("loss {} and gradient norm {} at step {}, expected finite ones; try a lower learning rate", loss,
                      gradient_norm_, state_.step + 1));
    }
    ++state_.step;
    state_.sequences += options_.sequences_per_step;
    optimizer_->update(learning_rate(options_, state_.step), gradient_norm_);
    state_.interval_loss += loss;
    ++state_.interval_steps;
    step_seconds_ = watch.seconds();
  }

  /// Forward and backward of all micro-batches; the mean loss.
  double accumulate_gradients() {
    std::vector<std::pair<at::Tensor, double>> means;  // read at the end, so that a GPU need not be waited for
    for (std::int64_t done = 0; done < options_.sequences_per_step; done += micro_batch_) {
      const std::int64_t count = std::min(micro_batch_, options_.sequences_per_step - done);
      const Batch batch = on_device(batches_.read(state_.sequences + done, count), device_);
      const double share = static_cast<double>(count) / static_cast<double>(options_.sequences_per_step);
      at::Tensor mean;
      {
        const Autocast autocast(device_, options_.is_bfloat16());
        mean = mean_loss(model_.forward(batch.tokens), batch.targets);
      }
      means.emplace_back(mean.detach(), share);
      (share == 1 ? mean : mean * share).backward();
    }
    double loss = 0;
    for (const auto& [mean, share] : means) loss += mean.item<double>() * share;
    return loss;
  }

  void log_point() {
    state_.last_loss = state_.interval_loss / static_cast<double>(state_.interval_steps);
    const Metric values[] = {{"loss", state_.last_loss},
                             {"learning_rate", learning_rate(options_, state_.step)},
                             {"gradient_norm", gradient_norm_},
                             {"tokens_per_second", tokens(state_.step - interval_start_step_) / interval_.seconds()}};
    context_.journal->metrics(state_.step, values);
    state_.interval_loss = 0;
    state_.interval_steps = 0;
    interval_start_step_ = state_.step;
    interval_.restart();
  }

  void report_progress() {
    context_.require_ownership();
    context_.journal->progress(state_.step, options_.steps(), speed());
    since_progress_.restart();
  }

  void save() {
    context_.require_ownership();
    const Stopwatch watch;
    saved_.push_back(write_checkpoint(context_.folder, context_.attempt, model_, *optimizer_, state_));
    context_.require_ownership();
    context_.journal->checkpoint(state_.step, saved_.back().file, saved_.back().digest);
    saved_step_ = state_.step;
    if (saved_.size() > kKeptCheckpoints) saved_.erase(saved_.begin());
    // The one before is the way back should the newest prove unreadable; with only one, older attempts' stay.
    if (saved_.size() == kKeptCheckpoints) remove_other_checkpoints(context_.folder, context_.attempt, saved_);
    longest_save_ = std::max(longest_save_, watch.seconds());
    interval_.skip(watch.seconds());
    whole_.skip(watch.seconds());
    since_checkpoint_.restart();
  }

  void stop_where_asked() {
    try {
      context_.require_time(step_seconds_ + 2 * longest_save_ + kDeadlineMargin);
    } catch (const JobFailure&) {
      if (saved_step_ != state_.step) save();
      throw;
    }
  }

  void finish() {
    context_.require_ownership();
    std::vector<Metric> summary = {{"loss", state_.last_loss},
                                   {"parameters", static_cast<double>(model_.parameter_count())},
                                   {"steps", static_cast<double>(options_.steps())},
                                   {"tokens", tokens(options_.steps())},
                                   {"seconds", whole_.seconds()},
                                   {"peak_memory_bytes", peak_memory_bytes()}};
    if (!device_.is_cpu()) summary.emplace_back("peak_device_memory_bytes", peak_device_memory_bytes(device_));
    const std::optional<double> tokens_per_second = speed();
    if (tokens_per_second) summary.emplace_back("tokens_per_second", *tokens_per_second);
    context_.journal->finished(summary);
    context_.log(
        fmt::format("finished: loss {:.4f}, {:.0f} tokens/s", state_.last_loss, tokens_per_second.value_or(0)));
  }

  [[nodiscard]] double tokens(std::int64_t steps) const {
    return static_cast<double>(steps * options_.tokens_per_step());
  }
  /// Tokens a second since this attempt began, checkpoints not counted; nothing before its first step.
  [[nodiscard]] std::optional<double> speed() const {
    const double seconds = whole_.seconds();
    if (state_.step == first_step_ || seconds <= 0) return std::nullopt;
    return tokens(state_.step - first_step_) / seconds;
  }

  const TrainJob& job_;
  const TrainOptions& options_;
  const JobContext& context_;
  PackedCorpus corpus_;
  Batches batches_;
  LanguageModel model_;
  std::optional<AdamW> optimizer_;
  at::Device device_;
  std::int64_t micro_batch_;  // sequences

  TrainingState state_;
  std::vector<Checkpoint> saved_;  // the newest, oldest first
  std::int64_t saved_step_ = -1;
  std::int64_t first_step_ = 0, interval_start_step_ = 0;
  double gradient_norm_ = 0;
  double step_seconds_ = 0, longest_save_ = 0;
  Stopwatch interval_, whole_, since_progress_, since_checkpoint_;
};

}  // namespace

void train(const TrainJob& job, const JobContext& context) {
  Training(job, context).run();
}

}  // namespace mestre
