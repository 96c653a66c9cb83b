// For tests: job folders made by hand, workers started on them, and what they left in their journals.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/files.h"
#include "core/data/test_folder.h"
#include "core/journal/attempt.h"
#include "core/spec/job.h"
#include "core/tasks/perplexity/options.h"

namespace mestre {

/// A workspace with a small corpus of made-up words. Gone with the object.
class WorkerJobs {
 public:
  explicit WorkerJobs(std::int64_t tokens = 6000);  // of the corpus

  /// Six steps of two sequences of 16 tokens, one layer of each mixer: a run of a tenth of a second.
  [[nodiscard]] TrainJob small_training() const;
  /// Writes job.json and launch.json with the token "token". Returns the job's folder.
  fs::path add(const Job& job) const;
  /// Rewrites launch.json.
  void launch(const fs::path& job, const Launch& launch) const;
  /// What add wrote: one thread, checkpoints at the end alone, a point of the curves at every step.
  [[nodiscard]] Launch default_launch() const;
  [[nodiscard]] EvaluateJob evaluation_of(const fs::path& training, std::vector<std::int64_t> lengths) const;
  [[nodiscard]] EvaluateJob evaluation_of(const fs::path& training, std::unique_ptr<TaskOptions> task) const;
  /// Tokens of the corpus, in order.
  [[nodiscard]] std::vector<std::int64_t> tokens() const;

  [[nodiscard]] const fs::path& path() const { return folder_.path(); }

 private:
  TestFolder folder_;
  std::int64_t tokens_;
  DataIdentity data_;
};

/// Starts a program, its output into `log`, and returns its process id.
pid_t start(const std::vector<std::string>& command, const fs::path& log);
/// Waits for it: the exit status, or minus the signal that ended it.
int wait_for(pid_t process);
/// Both, for `mestre-worker run FOLDER --token token`.
pid_t start_worker(const fs::path& job);
int run_worker(const fs::path& job, const std::string& token = "token");

/// A worker that stands still but while something is waited for: how fast it is, and how often this process gets to
/// run, must not decide what a test finds. Killed with the object.
class HeldWorker {
 public:
  /// Takes over a process that `start` or `start_worker` returned.
  explicit HeldWorker(pid_t process);
  ~HeldWorker();
  HeldWorker(const HeldWorker&) = delete;
  HeldWorker& operator=(const HeldWorker&) = delete;

  /// Lets it run a few milliseconds at a time until `condition` holds. False, and the test has failed, where it ended
  /// before or all patience did.
  bool run_until(const std::function<bool()>& condition);
  /// Lets it run for about so long.
  void run_for(std::chrono::milliseconds time);
  /// Kills it where it stands.
  void kill();
  /// Lets it go, with a signal where one is given (0: none), and waits for it: as wait_for.
  int finish(int signal = 0);

 private:
  void hold();

  pid_t process_;
  std::optional<int> status_;  // as wait_for gives it, once the process was reaped
};

/// A number by name, as a line of a journal has them.
using Values = std::vector<std::pair<std::string, double>>;

/// One line of a journal, as far as these tests look at it.
struct JournalLine {
  std::string type;
  std::string text;  // the whole line
  std::int64_t step = 0;
  Values values;  // of metrics and of the summary of finished
  std::string cause, message, name, digest, file;
  std::vector<double> measured;
  std::vector<std::pair<std::string, std::vector<double>>> axes;  // of a measurement
  bool fresh = false;                                             // of started: nothing was restored
  std::int64_t restored_step = 0;
  [[nodiscard]] double value(const std::string& wanted) const;
  [[nodiscard]] std::vector<double> axis(const std::string& wanted) const;
};

/// All lines of an attempt's journal; a line that does not fit its chain fails the test.
std::vector<JournalLine> journal_of(const fs::path& job, int attempt);
/// The lines of one type.
std::vector<JournalLine> lines_of(const fs::path& job, int attempt, const std::string& type);

}  // namespace mestre
