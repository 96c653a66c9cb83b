// Whole trainings in this process: what options promise, and that an interrupted run is the same run.

#include "core/train/trainer.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "core/journal/folders.h"
#include "core/model/safetensors.h"
#include "core/train/keep.h"
#include "core/train/micro_batch.h"
#include "core/train/spikes.h"
#include "tests/tolerances.h"
#include "tests/worker_jobs.h"

namespace mestre {
namespace {

/// A workspace in which trainings are carried out without a worker: no claims, no processes.
class Trainings {
 public:
  Trainings() { at::set_num_threads(1); }

  /// Carries out an attempt, stopped before the step behind `stop_at`. Returns the job's folder.
  fs::path attempt(const TrainJob& job, int number = 1, std::int64_t stop_at = -1) const {
    const fs::path folder = jobs.add(job);
    fs::create_directory(attempt_folder(folder, number));
    JournalWriter journal(attempt_folder(folder, number) / "journal.jsonl");
    JobContext context = {.folder = folder, .id = folder.filename(), .attempt = number, .launch = launch};
    context.journal = &journal;
    std::int64_t looks = 0;
    context.asked_to_stop = [&] { return looks++ == stop_at; };
    context.log = [](const std::string&) {};
    if (stop_at < 0)
      train(job, context);
    else
      EXPECT_THROW(train(job, context), JobFailure);
    return folder;
  }
  /// The curve of that name over all attempts; each step once.
  static std::vector<double> curve(const fs::path& folder, const std::string& name) {
    std::vector<double> values;
    for (const int number : attempts_of(folder))
      for (const JournalLine& line : lines_of(folder, number, "metrics"))
        for (const auto& [each, value] : line.values)
          if (each == name) values.push_back(value);
    return values;
  }
  /// Steps of those that are on the disk.
  static std::vector<std::int64_t> checkpoints(const fs::path& folder) {
    std::vector<std::int64_t> steps;
    for (const int number : attempts_of(folder)) {
      const fs::path all = attempt_folder(folder, number) / "checkpoints";
      for (const auto& entry : fs::directory_iterator(all))
        steps.push_back(std::stol(entry.path().filename().string().substr(5)));
    }
    std::sort(steps.begin(), steps.end());
    return steps;
  }
  static at::Tensor weights(const fs::path& folder, std::int64_t step, int attempt = 1) {
    const fs::path file = attempt_folder(folder, attempt) / "checkpoints" / checkpoint_name(step) / "model.safetensors";
    std::vector<at::Tensor> all;
    for (const auto& [name, value] : read_safetensors(file).tensors) all.push_back(value.flatten());
    return at::cat(all);
  }
  /// `steps` of a rate that does not depend on their number.
  [[nodiscard]] TrainJob steady_training(std::int64_t steps) const {
    TrainJob job = jobs.small_training();
    job.train.schedule = "constant";
    job.train.warmup = 0;
    job.train.tokens = steps * job.train.tokens_per_step();
    return job;
  }
  void validate_every(std::int64_t steps) {
    launch.validation = "words.manifest";
    launch.validation_digest = jobs.small_training().data.digest;
    launch.options.validation_interval = steps;
  }

  WorkerJobs jobs;
  Launch launch = jobs.default_launch();
};

TEST(Training, MicroBatchesAccumulateToTheSameStep) {
  std::vector<std::vector<JournalLine>> runs;
  for (const std::int64_t micro_batch : {0, 1, 2, 4}) {  // of five sequences: whole, evenly, with a ragged rest
    Trainings trainings;
    TrainJob job = trainings.jobs.small_training();
    job.train.sequences_per_step = 5;
    job.train.tokens = 5L * 5 * 16;
    trainings.launch.options.micro_batch = micro_batch;
    runs.push_back(lines_of(trainings.attempt(job), 1, "metrics"));
    ASSERT_EQ(runs.back().size(), 5U);
  }
  for (std::size_t run = 1; run < runs.size(); ++run) {
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_NEAR(runs[run][i].value("loss"), runs[0][i].value("loss"), tolerance::kMicroBatchLoss);
      EXPECT_NEAR(runs[run][i].value("gradient_norm"), runs[0][i].value("gradient_norm"),
                  tolerance::kMicroBatchNorm * runs[0][i].value("gradient_norm"));
    }
  }
}

TEST(Training, FindsOutHowManySequencesFit) {
  Trainings trainings;
  trainings.launch.options.micro_batch = kAutoMicroBatch;
  const fs::path chosen = trainings.attempt(trainings.steady_training(3));
  Trainings whole;
  EXPECT_EQ(Trainings::curve(chosen, "loss"), Trainings::curve(whole.attempt(whole.steady_training(3)), "loss"))
      << "two sequences of a tiny model fit any machine";
}

TEST(Training, LearnsARuleThatTheTextFollows) {
  const Trainings trainings;
  TrainJob job = trainings.jobs.small_training();
  job.train.tokens = 120L * 2 * 16;
  job.train.learning_rate = 1e-2;
  // A guess among the letters is ln 26 = 3.3, the rule with its noise about 0.5.
  EXPECT_LT(Trainings::curve(trainings.attempt(job), "loss").back(), 2.5);
}

TEST(Training, ValidatesOnTheWayAndKeepsTheBest) {
  Trainings trainings;
  trainings.validate_every(4);
  trainings.launch.options.validation_lengths = {16, 40};
  trainings.launch.options.validation_blocks = 5;
  trainings.launch.options.keep_best = true;
  trainings.launch.options.keep_last = 1;
  TrainJob job = trainings.steady_training(10);
  job.train.learning_rate = 1e-2;
  const fs::path folder = trainings.attempt(job);
  const std::vector<double> losses = Trainings::curve(folder, "validation_loss.40");
  ASSERT_EQ(losses.size(), 3U) << "after steps 4, 8 and the last, 10";
  EXPECT_EQ(Trainings::curve(folder, "validation_loss.16").size(), 3U);
  EXPECT_LT(losses[2], losses[0]);
  const auto best = std::min_element(losses.begin(), losses.end()) - losses.begin();
  const std::int64_t best_step = best == 2 ? 10 : 4 * (best + 1);
  std::vector<std::int64_t> kept = {best_step, 10};
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  EXPECT_EQ(Trainings::checkpoints(folder), kept);
  EXPECT_EQ(lines_of(folder, 1, "finished").at(0).value("best_validation_loss"),
            losses[static_cast<std::size_t>(best)]);
}

TEST(Training, IsNotDisturbedByWhoLooks) {
  Trainings plain, watched;
  watched.validate_every(2);
  watched.launch.options.layer_interval = 3;
  watched.launch.options.keep_every = 4;
  const TrainJob job = plain.steady_training(9);
  const fs::path a = plain.attempt(job), b = watched.attempt(job);
  EXPECT_TRUE(at::equal(Trainings::weights(a, 9), Trainings::weights(b, 9)));
  EXPECT_EQ(Trainings::checkpoints(b), (std::vector<std::int64_t>{4, 8, 9}));
  for (const char* name : {"layer.0.gradient_norm", "layer.3.weight_norm", "layer.2.residual_rms"}) {
    const std::vector<double> values = Trainings::curve(b, name);
    EXPECT_EQ(values.size(), 3U) << name;
    for (const double value : values) EXPECT_GT(value, 0) << name;
  }
}

// Every gradient is a spike beyond half the usual one, once twenty have been seen.
TEST(Training, SkipsSpikes) {
  const Trainings spiky, calm;
  TrainJob job = spiky.steady_training(24);
  job.train.spike_factor = 0.01;
  job.train.on_spike = "skip";
  const fs::path skipped = spiky.attempt(job), short_run = calm.attempt(calm.steady_training(20));
  EXPECT_TRUE(at::equal(Trainings::weights(skipped, 24), Trainings::weights(short_run, 20)));
  EXPECT_EQ(lines_of(skipped, 1, "warning").size(), 4U);
  EXPECT_EQ(lines_of(skipped, 1, "finished").at(0).value("spikes"), 4);
  EXPECT_EQ(Trainings::curve(skipped, "spikes"), (std::vector<double>{1, 2, 3, 4}));
}

TEST(Training, RollsBackBehindSpikes) {
  const Trainings spiky, calm;
  TrainJob job = spiky.steady_training(24);
  job.train.spike_factor = 0.01;
  job.train.on_spike = "roll_back";
  job.train.roll_back_interval = 7;
  const fs::path rolled_back = spiky.attempt(job), short_run = calm.attempt(calm.steady_training(14));
  EXPECT_TRUE(at::equal(Trainings::weights(rolled_back, 24), Trainings::weights(short_run, 14)));
  EXPECT_EQ(lines_of(rolled_back, 1, "finished").at(0).value("spikes"), 4);
}

TEST(Training, EndsWhereSpikesAreToStopItOrAreTooMany) {
  for (const char* what : {"stop", "skip"}) {
    const Trainings trainings;
    TrainJob job = trainings.steady_training(30);
    job.train.spike_factor = 0.01;
    job.train.on_spike = what;
    job.train.max_spikes = 2;
    try {
      (void)trainings.attempt(job);
      ADD_FAILURE() << what;
    } catch (const JobFailure& failure) {
      EXPECT_EQ(failure.cause(), Cause::kDiverged);
      EXPECT_NE(std::string(failure.what()).find(job.train.on_spike == "stop" ? "at step 21" : "at step 23"),
                std::string::npos)
          << failure.what();
    }
  }
}

// Wherever it is interrupted: with the memory of spikes, the checkpoint to roll back to, and the micro-batch.
TEST(Training, GoesOnAsIfItHadNeverStopped) {
  const auto job_of = [](const Trainings& trainings) {
    TrainJob job = trainings.steady_training(26);
    job.train.spike_factor = 0.01;
    job.train.on_spike = "roll_back";
    job.train.roll_back_interval = 5;
    return job;
  };
  Trainings whole;
  whole.launch.options.micro_batch = kAutoMicroBatch;
  const fs::path expected = whole.attempt(job_of(whole));
  for (const std::int64_t stop : {3, 20, 23}) {
    Trainings interrupted;
    interrupted.launch.options.micro_batch = kAutoMicroBatch;
    const TrainJob job = job_of(interrupted);
    (void)interrupted.attempt(job, 1, stop);
    const fs::path folder = interrupted.attempt(job, 2);
    EXPECT_TRUE(at::equal(Trainings::weights(folder, 26, 2), Trainings::weights(expected, 26))) << stop;
    EXPECT_EQ(Trainings::curve(folder, "loss"), Trainings::curve(expected, "loss")) << stop;
  }
}

TEST(Training, SeveralBudgetsShareATrunk) {
  const Trainings shared, alone;
  const fs::path trunk = shared.attempt(shared.steady_training(6));
  EXPECT_EQ(Trainings::checkpoints(trunk), std::vector<std::int64_t>{6});
  // As a worker leaves it: only a finished training is gone on from.
  TrainJob longer = shared.steady_training(10);
  longer.from = trunk.filename().native();
  longer.continues = true;
  const fs::path continued = shared.attempt(longer), at_once = alone.attempt(alone.steady_training(10));
  EXPECT_TRUE(at::equal(Trainings::weights(continued, 10), Trainings::weights(at_once, 10)));
  const std::vector<double> losses = Trainings::curve(at_once, "loss");
  EXPECT_EQ(Trainings::curve(continued, "loss"), std::vector<double>(losses.begin() + 6, losses.end()));
}

TEST(Spikes, AreMeasuredByTheUsualNorm) {
  TrainOptions options;
  options.spike_factor = 3;
  options.on_spike = "skip";
  SpikeMemory memory;
  EXPECT_EQ(judge_step(options, 1, 2, 100, memory).verdict, Verdict::kUpdate) << "nothing is usual yet";
  memory = {};
  for (int step = 1; step <= 20; ++step) EXPECT_EQ(judge_step(options, step, 2, 1, memory).verdict, Verdict::kUpdate);
  EXPECT_EQ(judge_step(options, 21, 2, 2.9, memory).verdict, Verdict::kUpdate);
  const double usual = memory.usual_norm;
  const Judgement spike = judge_step(options, 22, 2, 3.5, memory);
  EXPECT_EQ(spike.verdict, Verdict::kSkip);
  EXPECT_EQ(spike.reason, "gradient norm 3.5, 3.21 times the usual one at step 22");
  EXPECT_EQ(memory.usual_norm, usual) << "spikes are not usual";
  EXPECT_EQ(memory.spikes, 1);
  options.spike_factor = 0;
  EXPECT_EQ(judge_step(options, 23, 2, 1e9, memory).verdict, Verdict::kUpdate);
  EXPECT_EQ(judge_step(options, 24, NAN, 1, memory).verdict, Verdict::kSkip);
  EXPECT_EQ(judge_step(options, 25, 2, INFINITY, memory).verdict, Verdict::kSkip);
}

TEST(KeptCheckpoints, AreThoseOfThePolicy) {
  std::vector<Checkpoint> saved;
  for (const std::int64_t step : {0, 10, 15, 20, 25, 30, 33}) saved.push_back({.file = {}, .digest = {}, .step = step});
  const auto kept = [&](const KeepPolicy& policy, std::int64_t best = -1) {
    std::vector<std::int64_t> steps;
    for (const Checkpoint& one : checkpoints_to_keep(saved, policy, best)) steps.push_back(one.step);
    return steps;
  };
  using Steps = std::vector<std::int64_t>;
  EXPECT_EQ(kept({}), (Steps{30, 33}));
  EXPECT_EQ(kept({.last = 1}), (Steps{33}));
  EXPECT_EQ(kept({.last = 1, .every = 10}), (Steps{10, 20, 30, 33}));
  EXPECT_EQ(kept({.last = 1, .best = true}, 15), (Steps{15, 33}));
  EXPECT_EQ(kept({.last = 1}, 15), (Steps{33}));
  EXPECT_EQ(kept({.last = 1, .roll_back = 25}), (Steps{25, 33}));
  EXPECT_EQ(kept({.last = 1, .roll_back = 100}), (Steps{0, 33}));
}

TEST(MicroBatch, FillsTheMemoryEvenly) {
  EXPECT_EQ(fitting_micro_batch(64, 10, 12, 20), 6);
  EXPECT_EQ(fitting_micro_batch(4, 10, 12, 20), 4);
  EXPECT_EQ(fitting_micro_batch(64, 10, 22, 20), 1);
  EXPECT_EQ(fitting_micro_batch(64, 10, INFINITY, 20), 1);
  EXPECT_EQ(fitting_micro_batch(64, 10, 10, 20), 64);
  EXPECT_EQ(evened_out(64, 60), 32);
  EXPECT_EQ(evened_out(64, 64), 64);
  EXPECT_EQ(evened_out(10, 4), 4);
  EXPECT_EQ(evened_out(9, 4), 3);
}

}  // namespace
}  // namespace mestre
