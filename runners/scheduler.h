// Drives a runner from what is wanted to what is done.
//
// One loop: look what ended, fold the journals in, settle, start what is ready, say how it stands; until nothing is
// left that could run. The intent (a submission in the store and its tasks.tsv) is on disk before a worker starts, so a
// successor can tell everything from the files. Owns nothing but its own bookkeeping; the store, the runner and the
// plans outlive it. One thread; stop() may be called from a signal handler.
#pragma once

#include <atomic>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/journal/folders.h"
#include "core/plan/plan.h"
#include "runners/runner.h"
#include "store/ingest.h"
#include "store/ledger.h"

namespace mestre {

/// How the work stands, for who watches.
struct RunSnapshot {
  std::int64_t cells = 0;
  std::int64_t cells_done = 0;
  std::int64_t jobs = 0;
  std::int64_t jobs_done = 0;
  std::int64_t jobs_failed = 0;
  std::int64_t jobs_running = 0;
  double tokens_per_second = 0;  // of all running jobs
  double seconds_left = 0;       // as far as the estimates go
};

/// A job that left the runner.
struct JobEnd {
  std::string job;
  std::string name;  // "architecture=Samba,seed=3407 train"
  bool done = false;
  std::string reason;  // why not: "diverged: loss is not finite at step 12", "killed by signal 9 (Killed)"
  bool again = false;  // another attempt follows
  double seconds = 0;
};

class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void job_started(std::string_view name, const fs::path& folder) = 0;
  /// An earlier coordinator started it, and it still runs.
  virtual void job_adopted(std::string_view name, const fs::path& folder) = 0;
  virtual void job_ended(const JobEnd& end) = 0;
  virtual void problem(std::string_view message) = 0;
  virtual void tick(const RunSnapshot& snapshot) = 0;
};

struct SchedulerSettings {
  Workspace workspace;
  std::string data_root;
  bool retry_failed = false;                  // also jobs that failed by their own fault
  std::unordered_set<std::string> only = {};  // ids of the jobs to run, all others left alone; empty: all of the plans
};

class Scheduler {
 public:
  Scheduler(SchedulerSettings settings, std::span<const Plan> plans, Database& database, Runner& runner,
            RunObserver& observer);

  /// Works until everything wanted is done or has failed for good, or stop() was called. True where all is done.
  bool run();
  /// Leaves the loop after the current turn; what runs goes on running.
  void stop() { stopped_ = true; }
  [[nodiscard]] bool was_stopped() const { return stopped_; }
  /// How many attempts this run started.
  [[nodiscard]] std::int64_t started() const { return started_; }

 private:
  struct Entry {
    const PlannedJob* planned = nullptr;  // nothing for a job of another sweep that was found running
    const Plan* plan = nullptr;
    std::string name;
    fs::path folder;
    JobState state = JobState::kQueued;
    bool watched = false;                      // the runner has it: started or adopted by this run, and not ended
    std::string token;                         // of the submission of this run that may start it; empty: none yet
    std::map<std::string, int> failures = {};  // attempts that this run saw fail, by cause
    bool needs_more_memory = false;            // the GPU's memory did not do
    double started_at = 0;
  };

  /// How the last attempt of a job ended, when its worker is gone.
  struct LastEnd {
    bool failed = false;  // by the words of its journal; otherwise there was no attempt, or it was killed
    std::string cause;
    std::string message;
  };

  void add_plan(const Plan& plan);
  void refuse_what_cannot_run() const;
  void take_over();
  bool adopt(const std::string& job, Entry& entry);
  LastEnd last_end(const std::string& job, const Entry& entry);
  [[nodiscard]] bool is_asked(const std::string& job) const;
  void ingest(bool all);
  void settle(const EndedTask& ended);
  void start_ready();
  void submit(std::span<const std::string> jobs);
  void start(const std::string& job);
  [[nodiscard]] static LaunchOptions launch_of(const Entry& entry);
  [[nodiscard]] static Demand demand_of(const Entry& entry);
  bool is_ready(const Entry& entry) const;
  std::vector<std::string> ready_jobs() const;
  RunSnapshot snapshot();
  [[nodiscard]] bool unfinished() const;

  SchedulerSettings settings_;
  std::span<const Plan> plans_;
  Ledger ledger_;
  Ingester ingester_;
  Runner& runner_;
  RunObserver& observer_;
  std::unordered_map<std::string, Entry> entries_;
  std::vector<std::string> order_;    // wanted jobs by priority
  std::set<std::string> complaints_;  // problems that were reported
  std::int64_t started_ = 0;
  std::atomic<bool> stopped_ = false;
};

/// How often a job whose attempt ended for this cause ("" where it was killed) is started again by itself in one run.
[[nodiscard]] int retry_budget(std::string_view cause);
/// Whether the cause lies outside the job, so that a new `mestre run` may try again.
[[nodiscard]] bool is_environmental(std::string_view cause);

}  // namespace mestre
