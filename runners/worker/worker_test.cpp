// mestre-worker from outside: what it leaves in a job's folder when all goes well, when it is killed, and when what it
// finds is damaged.

#include <unistd.h>

#include <cmath>
#include <csignal>
#include <map>

#include <gtest/gtest.h>

#include "core/journal/folders.h"
#include "core/journal/scanner.h"
#include "core/mixers/attention/options.h"
#include "core/tasks/entropy/options.h"
#include "tests/worker_jobs.h"

namespace mestre {
namespace {

constexpr std::int64_t kManySteps = 1000;  // so many that a worker stands in the midst of them wherever it is held

/// Loss by step, over all attempts; a step that several have computed must have the same bits in each.
std::map<std::int64_t, double> losses_of(const fs::path& job) {
  std::map<std::int64_t, double> losses;
  for (const int attempt : attempts_of(job)) {
    for (const JournalLine& line : lines_of(job, attempt, "metrics")) {
      const auto [place, added] = losses.emplace(line.step, line.value("loss"));
      EXPECT_EQ(place->second, line.value("loss")) << "step " << line.step << " differs in attempt " << attempt;
    }
  }
  return losses;
}

std::vector<std::string> checkpoints_of(const fs::path& job) {
  std::vector<std::string> names;
  for (const int attempt : attempts_of(job))
    if (const fs::path folder = attempt_folder(job, attempt) / "checkpoints"; fs::exists(folder))
      for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

void truncate(const fs::path& file) {
  fs::resize_file(file, fs::file_size(file) / 2);
}

class Worker : public testing::Test {
 protected:
  /// A training long enough to be caught in the middle: `steps` of a fraction of a millisecond.
  [[nodiscard]] TrainJob long_training(std::int64_t steps) const {
    TrainJob job = jobs_.small_training();
    job.train.tokens = steps * job.train.tokens_per_step();
    return job;
  }
  /// The same with another seed, so with another id: for the run to compare with.
  fs::path add_with_checkpoints(const Job& job, double interval) const {
    fs::path folder = jobs_.add(job);
    Launch launch = jobs_.default_launch();
    launch.options.checkpoint_interval = interval;
    jobs_.launch(folder, launch);
    return folder;
  }
  /// That the journal holds so many lines of that type.
  static std::function<bool()> has(const fs::path& job, int attempt, const std::string& type, std::size_t lines = 1) {
    return [=] { return lines_of(job, attempt, type).size() >= lines; };
  }
  /// Starts an attempt and kills it once its journal holds so many checkpoints.
  static void kill_after_checkpoints(const fs::path& job, std::size_t checkpoints) {
    HeldWorker worker(start_worker(job));
    ASSERT_TRUE(worker.run_until(has(job, 1, "checkpoint", checkpoints)));
    ASSERT_EQ(worker.finish(SIGKILL), -SIGKILL);
  }

  WorkerJobs jobs_;
};

TEST_F(Worker, TrainsAndSaysSo) {
  const fs::path job = jobs_.add(jobs_.small_training());
  ASSERT_EQ(run_worker(job), 0);

  const std::vector<JournalLine> lines = journal_of(job, 1);
  EXPECT_EQ(lines.front().type, "started");
  EXPECT_TRUE(lines.front().fresh);
  EXPECT_EQ(lines.back().type, "finished");
  EXPECT_EQ(lines.back().value("steps"), 6);
  EXPECT_EQ(lines.back().value("tokens"), 6 * 32);
  EXPECT_EQ(lines.back().value("parameters"), static_cast<double>(jobs_.small_training().model.parameters()));
  EXPECT_GT(lines.back().value("tokens_per_second"), 0);
  const std::vector<JournalLine> points = lines_of(job, 1, "metrics");
  ASSERT_EQ(points.size(), 6U);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].step, static_cast<std::int64_t>(i) + 1);
    EXPECT_GT(points[i].value("gradient_norm"), 0);
  }
  EXPECT_NEAR(points.front().value("loss"), std::log(257.0), 1.0);
  EXPECT_LT(points.back().value("loss"), points.front().value("loss"));
  EXPECT_NEAR(points.back().value("learning_rate"), 3e-4, 1e-12);
  EXPECT_EQ(checkpoints_of(job), std::vector<std::string>{"step-00000006"});
  EXPECT_TRUE(read_attempt_record(attempt_folder(job, 1)).has_value());
  EXPECT_FALSE(FileLock::is_held(attempt_folder(job, 1) / "lock"));
}

TEST_F(Worker, DoesNothingWhereThereIsNothingForIt) {
  const fs::path job = jobs_.add(jobs_.small_training());
  EXPECT_EQ(run_worker(job, "another"), 0);
  EXPECT_TRUE(attempts_of(job).empty());
  ASSERT_EQ(run_worker(job), 0);
  EXPECT_EQ(run_worker(job), 0);
  EXPECT_EQ(attempts_of(job), std::vector<int>{1});
}

TEST_F(Worker, EvaluatesTheLastCheckpointOfATraining) {
  const fs::path training = jobs_.add(jobs_.small_training());
  const fs::path evaluation = jobs_.add(jobs_.evaluation_of(training, {8, 16, 40}));
  EXPECT_EQ(run_worker(evaluation), 1);
  EXPECT_EQ(lines_of(evaluation, 1, "failed").at(0).cause, "bad_input");  // nothing to evaluate yet

  ASSERT_EQ(run_worker(training), 0);
  ASSERT_EQ(run_worker(evaluation), 0);
  const std::vector<JournalLine> measurements = lines_of(evaluation, 2, "measurement");
  ASSERT_EQ(measurements.size(), 2U);
  EXPECT_EQ(measurements[0].name, "perplexity");
  EXPECT_EQ(measurements[1].name, "negative_log_likelihood");
  ASSERT_EQ(measurements[0].measured.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_DOUBLE_EQ(measurements[0].measured[i], std::exp(measurements[1].measured[i]));
    EXPECT_NEAR(measurements[1].measured[i], lines_of(training, 1, "metrics").back().value("loss"), 0.5);
  }
  EXPECT_NE(measurements[0].text.find(R"("details":{"blocks":146,"tokens":5840})"), std::string::npos)
      << measurements[0].text;
  EXPECT_EQ(journal_of(evaluation, 2).front().restored_step, 6);
}

TEST_F(Worker, MeasuresTheEntropiesOfACheckpoint) {
  const auto measured = [](const WorkerJobs& jobs) {
    const fs::path training = jobs.add(jobs.small_training());
    EXPECT_EQ(run_worker(training), 0);
    EntropyOptions options;
    options.samples = 5;
    options.context = 40;
    options.new_tokens = 6;
    const fs::path measurement = jobs.add(jobs.evaluation_of(training, options.clone()));
    EXPECT_EQ(run_worker(measurement), 0);
    EXPECT_EQ(journal_of(measurement, 1).back().value("tokens"), options.tokens(0));
    return lines_of(measurement, 1, "measurement");
  };
  const std::vector<JournalLine> lines = measured(jobs_), again = measured(WorkerJobs());
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[0].name, "attention_entropy");
  EXPECT_EQ(lines[0].axis("layer"), std::vector<double>{1});
  EXPECT_EQ(lines[0].axis("head"), (std::vector<double>{0, 1}));
  EXPECT_EQ(lines[2].name, "selection_entropy");
  EXPECT_EQ(lines[2].axis("layer"), std::vector<double>{0});
  for (const double nats : lines[0].measured) EXPECT_TRUE(0 < nats && nats <= std::log(8.0)) << nats;
  for (const double nats : lines[2].measured) EXPECT_TRUE(0 < nats && nats <= std::log(40.0)) << nats;
  for (std::size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i].measured, again[i].measured) << lines[i].name;
}

// The interval between points of the curves does not divide the step of any checkpoint, so that an open interval is
// resumed too.
TEST_F(Worker, ResumedLossesAreThoseOfAnUninterruptedRunToTheLastBit) {
  const TrainJob job = long_training(kManySteps);
  const fs::path killed = jobs_.add(job);
  Launch launch = jobs_.default_launch();
  launch.options.checkpoint_interval = 0.05;
  launch.options.log_interval = 3;
  jobs_.launch(killed, launch);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    HeldWorker worker(start_worker(killed));
    ASSERT_TRUE(worker.run_until(has(killed, attempt, "checkpoint")));
    worker.run_for(std::chrono::milliseconds(7 * attempt));  // not always at the same place behind it
    ASSERT_EQ(worker.finish(SIGKILL), -SIGKILL);
  }
  ASSERT_EQ(run_worker(killed), 0);
  EXPECT_GT(journal_of(killed, 2).front().restored_step, 0);

  const WorkerJobs elsewhere;
  const fs::path whole = elsewhere.add(job);
  launch.options.checkpoint_interval = 0;
  launch.data_root = elsewhere.default_launch().data_root;
  elsewhere.launch(whole, launch);
  ASSERT_EQ(run_worker(whole), 0);
  EXPECT_EQ(losses_of(killed), losses_of(whole));
  EXPECT_EQ(checkpoints_of(killed).size(), 2U);
}

// Killed between its last checkpoint and its last line: nothing is left to compute, so nothing says how fast it went.
TEST_F(Worker, ResumedAtTheLastStepItClaimsNoSpeed) {
  const fs::path job = jobs_.add(jobs_.small_training());
  ASSERT_EQ(run_worker(job), 0);
  const fs::path journal = attempt_folder(job, 1) / "journal.jsonl";
  const std::string last = journal_of(job, 1).back().text + "\n";
  fs::resize_file(journal, fs::file_size(journal) - last.size());

  ASSERT_EQ(run_worker(job), 0);
  const std::vector<JournalLine> lines = journal_of(job, 2);
  EXPECT_EQ(lines.front().restored_step, 6);
  EXPECT_EQ(lines.back().type, "finished");
  EXPECT_EQ(lines.back().value("steps"), 6);
  for (const JournalLine& line : lines) EXPECT_EQ(line.text.find("tokens_per_second"), std::string::npos) << line.text;
}

TEST_F(Worker, SigtermSavesACheckpointAndSaysPreempted) {
  const fs::path job = jobs_.add(long_training(100 * kManySteps));
  HeldWorker worker(start_worker(job));
  ASSERT_TRUE(worker.run_until(has(job, 1, "metrics")));
  ASSERT_EQ(worker.finish(SIGTERM), 1);
  const std::vector<JournalLine> lines = journal_of(job, 1);
  EXPECT_EQ(lines.back().cause, "preempted");
  ASSERT_EQ(lines_of(job, 1, "checkpoint").size(), 1U);
  EXPECT_EQ(lines_of(job, 1, "checkpoint")[0].step, lines_of(job, 1, "metrics").back().step);
}

TEST_F(Worker, StopsAtItsDeadlineWithACheckpointToGoOnFrom) {
  const fs::path job = jobs_.add(jobs_.small_training());
  Launch launch = jobs_.default_launch();
  launch.deadline = now_seconds() + 1;  // less than a step, a checkpoint and the margin would take
  jobs_.launch(job, launch);
  ASSERT_EQ(run_worker(job), 1);
  EXPECT_EQ(journal_of(job, 1).back().cause, "deadline");
  ASSERT_EQ(lines_of(job, 1, "checkpoint").size(), 1U);
  EXPECT_EQ(lines_of(job, 1, "checkpoint")[0].step, 0);
  EXPECT_TRUE(lines_of(job, 1, "metrics").empty());

  launch.deadline = now_seconds() + 3600;
  jobs_.launch(job, launch);
  ASSERT_EQ(run_worker(job), 0);
  EXPECT_FALSE(journal_of(job, 2).front().fresh);
  EXPECT_EQ(losses_of(job).size(), 6U);
}

TEST_F(Worker, ADamagedCheckpointCostsAWarningAndTheWayFromTheOneBefore) {
  const fs::path job = add_with_checkpoints(long_training(kManySteps), 0.02);
  kill_after_checkpoints(job, 3);
  const std::vector<JournalLine> saved = lines_of(job, 1, "checkpoint");
  ASSERT_GE(saved.size(), 3U);
  truncate(job / saved.back().file / "optimizer.safetensors");

  ASSERT_EQ(run_worker(job), 0);
  const std::vector<JournalLine> lines = journal_of(job, 2);
  EXPECT_EQ(lines.front().restored_step, saved[saved.size() - 2].step);
  const std::vector<JournalLine> warnings = lines_of(job, 2, "warning");
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].message.find("optimizer.safetensors"), std::string::npos) << warnings[0].message;
  EXPECT_EQ(lines.back().type, "finished");
  EXPECT_EQ(std::ssize(losses_of(job)), kManySteps);
}

TEST_F(Worker, WithoutAnyWholeCheckpointItStartsAfresh) {
  const fs::path job = add_with_checkpoints(long_training(kManySteps), 0.02);
  kill_after_checkpoints(job, 1);
  for (const JournalLine& saved : lines_of(job, 1, "checkpoint"))
    if (fs::exists(job / saved.file)) truncate(job / saved.file / "state.json");
  ASSERT_EQ(run_worker(job), 0);
  EXPECT_TRUE(journal_of(job, 2).front().fresh);
  EXPECT_EQ(std::ssize(losses_of(job)), kManySteps);
}

TEST_F(Worker, TrustsACorruptJournalUpToTheDamage) {
  const fs::path job = add_with_checkpoints(long_training(kManySteps), 0.02);
  kill_after_checkpoints(job, 2);
  const std::vector<JournalLine> saved = lines_of(job, 1, "checkpoint");
  ASSERT_GE(saved.size(), 2U);
  const JournalLine &spoiled = saved.back(), &before = saved[saved.size() - 2];  // the two that are kept
  const fs::path journal = attempt_folder(job, 1) / "journal.jsonl";
  std::string bytes = read_file(journal);
  bytes[bytes.find(spoiled.text) + spoiled.text.find("digest") + 12] ^= 1;
  replace_file(journal, bytes);

  ASSERT_EQ(run_worker(job), 0);
  EXPECT_EQ(journal_of(job, 2).front().restored_step, before.step);
  EXPECT_EQ(journal_of(job, 2).back().type, "finished");
}

TEST_F(Worker, PublishesNothingOnceAHigherAttemptExists) {
  const fs::path job = jobs_.add(long_training(100 * kManySteps));
  HeldWorker worker(start_worker(job));
  ASSERT_TRUE(worker.run_until(has(job, 1, "metrics")));
  fs::create_directory(attempt_folder(job, 2));
  ASSERT_EQ(worker.finish(), 0);
  const std::vector<JournalLine> lines = journal_of(job, 1);
  EXPECT_NE(lines.back().type, "finished");
  EXPECT_NE(lines.back().type, "failed");
  EXPECT_TRUE(checkpoints_of(job).empty());
}

// With a learning rate of 0 a stage leaves the weights that it began with.
TEST_F(Worker, AStageBeginsWithTheWeightsOfTheJobBeforeIt) {
  const fs::path training = jobs_.add(jobs_.small_training());
  TrainJob stage = jobs_.small_training();
  stage.from = training.filename().native();
  stage.train.seed_init = 1;
  stage.train.learning_rate = 0;
  const fs::path folder = jobs_.add(stage);
  ASSERT_EQ(run_worker(folder), 1);
  EXPECT_EQ(journal_of(folder, 1).back().cause, "bad_input");  // nothing to begin with yet
  ASSERT_EQ(run_worker(training), 0);
  ASSERT_EQ(run_worker(folder), 0);
  EXPECT_TRUE(journal_of(folder, 2).front().fresh);
  const auto weights = [](const fs::path& job, int attempt) {
    return read_file(job / lines_of(job, attempt, "checkpoint").back().file / "model.safetensors");
  };
  EXPECT_EQ(weights(folder, 2), weights(training, 1));
}

TEST_F(Worker, RefusesWhatItCannotDo) {
  TrainJob job = jobs_.small_training();
  job.data.task = "passkey";
  job.data.task_version = 1;
  const fs::path folder = jobs_.add(job);
  EXPECT_EQ(run_worker(folder), 1);
  const JournalLine last = journal_of(folder, 1).back();
  EXPECT_EQ(last.cause, "bad_input");
  EXPECT_NE(last.message.find(kMadeTextFeature), std::string::npos) << last.message;
}

struct Mistake {
  const char* name;
  const char* cause;
  const char* message;  // a part of it
  void (*make)(const WorkerJobs& jobs, const fs::path& job);
};

class WorkerFails : public testing::TestWithParam<Mistake> {};

TEST_P(WorkerFails, WithTheCauseInItsJournal) {
  const WorkerJobs jobs;
  const fs::path job = jobs.add(jobs.small_training());
  GetParam().make(jobs, job);
  EXPECT_EQ(run_worker(job), 1);
  const JournalLine last = journal_of(job, 1).back();
  EXPECT_EQ(last.cause, GetParam().cause);
  EXPECT_NE(last.message.find(GetParam().message), std::string::npos) << last.message;
}

INSTANTIATE_TEST_SUITE_P(
    Causes, WorkerFails,
    testing::Values(Mistake{"another_spec", "bad_input", "is not the spec of job",
                            [](const WorkerJobs&, const fs::path& job) { replace_file(job / "job.json", "{}\n"); }},
                    Mistake{"missing_data", "data", "words.manifest",
                            [](const WorkerJobs& jobs, const fs::path&) {
                              fs::remove(jobs.path() / "data/words.manifest");
                            }},
                    Mistake{"truncated_data", "data", "words.bin",
                            [](const WorkerJobs& jobs, const fs::path&) { truncate(jobs.path() / "data/words.bin"); }},
                    Mistake{"other_data", "data", "holds other data",
                            [](const WorkerJobs& jobs, const fs::path&) {
                              std::string manifest = read_file(jobs.path() / "data/words.manifest");
                              for (std::size_t at = 0; (at = manifest.find("\"digest\":\"", at)) != std::string::npos;
                                   at += 12)
                                manifest[at + 12] ^= 1;
                              replace_file(jobs.path() / "data/words.manifest", manifest);
                            }},
                    Mistake{"gpus", "bad_input", "2 GPUs",
                            [](const WorkerJobs& jobs, const fs::path& job) {
                              Launch launch = jobs.default_launch();
                              launch.options.gpus = 2;
                              jobs.launch(job, launch);
                            }}),
    [](const auto& mistake) { return std::string(mistake.param.name); });

TEST_F(Worker, SaysDivergedWhereTheLossIsNotFinite) {
  TrainJob job = long_training(200);
  job.train.learning_rate = 10;
  job.train.warmup = 0;
  job.train.clip_norm = 0;
  job.train.weight_decay = 10;
  job.model.options.norm_epsilon = 0;
  const fs::path folder = jobs_.add(job);
  EXPECT_EQ(run_worker(folder), 1);
  EXPECT_EQ(journal_of(folder, 1).back().cause, "diverged");
}

}  // namespace
}  // namespace mestre
