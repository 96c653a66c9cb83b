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
#include "core/train/checkpoint_keeper.h"
#include "core/train/curves.h"
#include "core/train/device.h"
#include "core/train/micro_batch.h"
#include "core/train/prefetch.h"
#include "core/train/resources.h"
#include "core/train/schedule.h"
#include "core/train/validation.h"

namespace mestre {
namespace {

constexpr double kProgressInterval = 1;  // s
constexpr double kDeadlineMargin = 2;    // s, besides a step, a validation and twice the longest checkpoint so far

// Whether something that is done every `interval` steps (0: never) is due at the step.
bool is_due(std::int64_t step, std::int64_t interval) {
  return interval > 0 && step % interval == 0;
}

class Training {
 public:
  Training(const TrainJob& job, const JobContext& context)
      : job_(job),
        options_(job.train),
        launch_(context.launch.options),
        context_(context),
        batches_(open_text(context.launch, job.data), options_, device_of(context.launch)),
        model_(job.model),
        device_(device_of(context.launch)) {
    at::manual_seed(static_cast<std::uint64_t>(options_.seed_init));
    model_.initialize(options_.seed_init);
    model_.to(device_);
    optimizer_.emplace(model_, options_);
    keeper_.emplace(context, keep_policy(launch_, options_), model_, *optimizer_, state_);
    curves_.emplace(model_, options_, device_);
    if (launch_.validation_interval > 0) validation_.emplace(context.launch, job);
  }

  void run() {
    start();
    while (state_.step < options_.steps()) {
      stop_where_asked();
      if (keeper_->is_due()) save();
      step();
      const bool is_last = state_.step == options_.steps();
      if (is_last || is_due(state_.step, std::max<std::int64_t>(launch_.log_interval, 1)))
        context_.journal->metrics(state_.step, curves_->point(state_, gradient_norm_));
      if (validation_ && (is_last || validation_->is_due(state_.step))) validate();
      if (since_progress_.seconds() >= kProgressInterval) report_progress();
    }
    if (!keeper_->is_saved()) save();
    finish();
  }

 private:
  void start() {
    std::vector<std::string> problems;
    const std::optional<Checkpoint> checkpoint = keeper_->restore_newest(problems);
    if (!checkpoint && !job_.from.empty()) begin_from(sibling_job(context_.folder, job_.from));
    choose_micro_batch();
    Restored restored;
    if (checkpoint) restored = {.file = checkpoint->file, .digest = checkpoint->digest, .step = state_.step};
    context_.journal->started(context_.id, context_.attempt, checkpoint ? &restored : nullptr, options_.steps());
    for (const std::string& problem : problems) context_.journal->warning("checkpoint_corrupt", problem);
    context_.log(fmt::format("{} parameters, {} steps of {} sequences x {} tokens in passes of {}, from step {}",
                             model_.parameter_count(), options_.steps(), options_.sequences_per_step,
                             options_.sequence_length, state_.micro_batch, state_.step));
    first_step_ = state_.step;
    curves_->begin(state_.step);
    whole_.restart();
    report_progress();
  }

  /// The first state of a stage.
  void begin_from(const fs::path& training) {
    std::int64_t step = 0;
    if (job_.continues) {
      const TrainingState before = restore_last(training, model_, *optimizer_);
      state_ = {.step = before.step, .sequences = before.sequences, .spikes = before.spikes};
      state_.spikes.spikes = 0;
      step = before.step;
    } else {
      step = restore_last_weights(training, model_).step;
    }
    context_.log(fmt::format("a stage that goes on from step {} of job {}", step, job_.from));
  }

  /// A run keeps the one that it began with where it is chosen here: another one gives sums with other bits.
  void choose_micro_batch() {
    const std::int64_t all = options_.sequences_per_step;
    if (launch_.micro_batch != kAutoMicroBatch) {
      state_.micro_batch = launch_.micro_batch > 0 ? std::min(launch_.micro_batch, all) : all;
    } else if (state_.micro_batch == 0) {
      state_.micro_batch = largest_micro_batch(all, device_, [this](std::int64_t sequences) {
        const auto type = at::TensorOptions().dtype(at::kLong).device(device_);
        const at::Tensor tokens = at::zeros({sequences, options_.sequence_length}, type);
        backward({.tokens = tokens, .targets = tokens}, 1, nullptr);
        optimizer_->zero_gradients();
      });
    }
  }

  /// Forward and backward pass of a micro-batch that counts as this share of its step; its mean loss.
  at::Tensor backward(const Batch& batch, double share, std::vector<at::Tensor>* residuals) {
    at::Tensor mean;
    {
      const Autocast autocast(device_, options_.is_bfloat16());
      mean = mean_loss(model_.forward(batch.tokens, {.residuals = residuals}), batch.targets);
    }
    (share == 1 ? mean : mean * share).backward();
    return mean.detach();
  }

  /// Of all micro-batches; the mean loss. `residuals`: of the first, where they are wanted.
  double accumulate_gradients(std::vector<at::Tensor>* residuals) {
    std::vector<std::pair<at::Tensor, double>> means;  // read at the end, so that a GPU need not be waited for
    for (std::int64_t done = 0; done < options_.sequences_per_step; done += state_.micro_batch) {
      const std::int64_t count = std::min(state_.micro_batch, options_.sequences_per_step - done);
      const Batch batch = on_device(batches_.read(state_.sequences + done, count), device_);
      const double share = static_cast<double>(count) / static_cast<double>(options_.sequences_per_step);
      means.emplace_back(backward(batch, share, done == 0 ? residuals : nullptr), share);
    }
    double loss = 0;
    for (const auto& [mean, share] : means) loss += mean.item<double>() * share;
    return loss;
  }

  /// One step: micro-batches forward and backward, clipping, AdamW; or what was declared for a spike.
  void step() {
    const Stopwatch watch;
    const bool shows_layers = is_due(state_.step + 1, launch_.layer_interval);
    std::vector<at::Tensor> residuals;
    optimizer_->zero_gradients();
    const double loss = accumulate_gradients(shows_layers ? &residuals : nullptr);
    gradient_norm_ = optimizer_->gradient_norm();
    ++state_.step;
    state_.sequences += options_.sequences_per_step;
    if (shows_layers) context_.journal->metrics(state_.step, curves_->layers(residuals));
    const Judgement judgement = judge_step(options_, state_.step, loss, gradient_norm_, state_.spikes);
    if (judgement.verdict == Verdict::kUpdate) {
      optimizer_->update(learning_rate(options_, state_.step), gradient_norm_);
      state_.interval_loss += loss;
      ++state_.interval_steps;
    } else {
      pass_over(judgement);
    }
    step_seconds_ = watch.seconds();
  }

  void pass_over(const Judgement& judgement) {
    if (judgement.verdict == Verdict::kStop) throw JobFailure(Cause::kDiverged, judgement.reason);
    const std::string what = judgement.verdict == Verdict::kSkip
                                 ? "no update"
                                 : fmt::format("back to the weights of step {}", keeper_->roll_back());
    context_.journal->warning("spike", fmt::format("{}: {}", judgement.reason, what));
    context_.log(fmt::format("{}: {}", judgement.reason, what));
  }

  void validate() {
    const Stopwatch watch;
    const std::vector<Metric> losses = validation_->measure(model_, device_, options_.is_bfloat16());
    context_.journal->metrics(state_.step, losses);
    const double longest = losses.back().second;
    const bool is_best = std::isfinite(longest) && (!state_.best || longest < state_.best->loss);
    if (is_best) state_.best = {.step = state_.step, .loss = longest};
    validation_seconds_ = watch.seconds();
    curves_->skip(validation_seconds_);
    whole_.skip(validation_seconds_);
    if (is_best && launch_.keep_best) save();
  }

  void report_progress() {
    context_.require_ownership();
    context_.journal->progress(state_.step, options_.steps(), speed());
    since_progress_.restart();
  }

  void save() {
    const double seconds = keeper_->save();
    curves_->skip(seconds);
    whole_.skip(seconds);
  }

  void stop_where_asked() {
    try {
      context_.require_time(step_seconds_ + validation_seconds_ + 2 * keeper_->longest_save() + kDeadlineMargin);
    } catch (const JobFailure&) {
      if (!keeper_->is_saved()) save();
      throw;
    }
  }

  void finish() {
    context_.require_ownership();
    std::vector<Metric> summary = {{"loss", state_.last_loss},
                                   {"parameters", static_cast<double>(model_.parameter_count())},
                                   {"steps", static_cast<double>(options_.steps())},
                                   {"tokens", tokens(options_.steps())},
                                   {"micro_batch", static_cast<double>(state_.micro_batch)},
                                   {"seconds", whole_.seconds()},
                                   {"peak_memory_bytes", peak_memory_bytes()}};
    if (!device_.is_cpu()) summary.emplace_back("peak_device_memory_bytes", peak_device_memory_bytes(device_));
    if (state_.best) summary.emplace_back("best_validation_loss", state_.best->loss);
    if (state_.spikes.spikes > 0) summary.emplace_back("spikes", static_cast<double>(state_.spikes.spikes));
    const std::optional<double> tokens_per_second = speed();
    if (tokens_per_second) summary.emplace_back("tokens_per_second", *tokens_per_second);
    context_.journal->finished(summary);
    context_.log(
        fmt::format("finished: loss {:.4f}, {:.0f} tokens/s", state_.last_loss, tokens_per_second.value_or(0)));
  }

  [[nodiscard]] double tokens(std::int64_t steps) const {
    return static_cast<double>(steps * options_.tokens_per_step());
  }
  /// Tokens a second since this attempt began, checkpoints and validations not counted; nothing before its first step.
  [[nodiscard]] std::optional<double> speed() const {
    const double seconds = whole_.seconds();
    if (state_.step == first_step_ || seconds <= 0) return std::nullopt;
    return tokens(state_.step - first_step_) / seconds;
  }

  const TrainJob& job_;
  const TrainOptions& options_;
  const LaunchOptions& launch_;
  const JobContext& context_;
  BatchReader batches_;
  LanguageModel model_;
  at::Device device_;
  std::optional<AdamW> optimizer_;
  std::optional<CheckpointKeeper> keeper_;
  std::optional<Curves> curves_;
  std::optional<Validation> validation_;

  TrainingState state_;
  std::int64_t first_step_ = 0;
  double gradient_norm_ = 0;
  double step_seconds_ = 0, validation_seconds_ = 0;
  Stopwatch whole_, since_progress_;
};

}  // namespace

void train(const TrainJob& job, const JobContext& context) {
  Training(job, context).run();
}

}  // namespace mestre
