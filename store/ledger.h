// What is wanted, what was started and how far it is: the coordinator's book, and what the commands read from it.
//
// Each function that writes is one transaction, durable when it returns. States change only through the coordinator,
// which holds the one write connection; a Ledger over a connection for reading can only be asked. Owns nothing: the
// database outlives it. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/id_table.h"
#include "core/plan/cost.h"
#include "core/plan/plan_diff.h"
#include "store/database.h"

namespace mestre {

/// The names stand in the store; never rename one.
enum class JobState { kQueued, kRunning, kDone, kFailed };
[[nodiscard]] std::string_view name_of(JobState state);

/// A job that a sweep wants.
struct WantedJob {
  std::string id;
  JobState state = JobState::kQueued;
};

/// An intent to start jobs.
struct Submission {
  std::string token;
  std::string runner;                // "local", "slurm"
  std::vector<std::string> members;  // job ids, in the order of the tasks
};

struct SweepSummary {
  std::string name;
  std::string question;
  std::string file;
  double recorded_at = 0;  // s since the epoch
  std::int64_t cells = 0;
  std::map<JobState, std::int64_t> jobs;  // distinct jobs by state
};

/// How far the last attempt of a job is.
struct JobProgress {
  std::string job;
  int attempt = 0;
  double done = 0;  // units of work
  double total = 0;
  double tokens_per_second = 0;
  double started_at = 0;  // s since the epoch
  double updated_at = 0;  // s since the epoch; of the last line that was ingested
  std::string host;
};

struct CellStatus {
  std::int64_t number = 0;
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;  // axis, label, in the order of the axes
  JobState state = JobState::kQueued;                       // as the view `runs` defines it
  std::int64_t jobs = 0;
  std::int64_t jobs_done = 0;
  std::string last_cause;  // of its last failed attempt, while a job of the cell is failed or waits for another attempt
  bool interrupted = false;          // a job of the cell runs no more, and did not say that it ended
  double seconds_left = 0;           // of one slot: the sum of seconds_left over its jobs that are not done
  std::vector<JobProgress> running;  // its running jobs
};

/// What a job takes.
struct JobWork {
  double tokens = 0;  // 0: its work is not counted in tokens
  double planned_seconds = 0;
  double tokens_per_second = 0;  // mean of finished jobs of the same speed_key; 0: there is none
};
/// s of one slot until the job is done: what is left of its work at the speed at which it runs, else at that of its
/// like, else as planned. `progress` is null where no attempt has begun.
[[nodiscard]] double seconds_left(const JobWork& work, const JobProgress* progress);

/// States of jobs that somebody knows better than the ledger, by id: of those that it takes to be running while nobody
/// has the workspace, for then nobody notes their end.
using KnownStates = std::unordered_map<std::string, JobState>;

struct AttemptDetail {
  int number = 0;
  std::string outcome;  // "finished", "failed", "killed"; empty while it may live
  std::string cause;
  std::string message;
  std::string host;
  std::optional<double> started_at;  // s since the epoch
  std::optional<double> ended_at;
  std::optional<std::int64_t> restored_step;
  std::optional<std::int64_t> last_step;  // of its curves
  std::string quarantine;                 // why its journal is not read to the end
};

struct JobDetail {
  std::string id;
  std::string kind;
  JobState state = JobState::kQueued;
  std::string spec;
  std::vector<std::string> cells;  // "sweep/cell" of every sweep
  std::vector<AttemptDetail> attempts;
};

class Ledger {
 public:
  explicit Ledger(Database& database) : database_(database) {}

  /// Records what a sweep wants: replaces the sweep's cells, adds its jobs as queued. Jobs that are known keep their
  /// state and history.
  void record_plan(const Plan& plan);
  /// Before the jobs are started. Throws Error (not_found) where a member is not in the ledger.
  void record_submission(const Submission& submission);
  void set_state(std::string_view job, JobState state) { set_states({&job, 1}, state); }
  /// Throws Error (not_found) where one is not in the ledger; then none has changed.
  void set_states(std::span<const std::string_view> jobs, JobState state);
  /// The process of this attempt is gone and its journal has no terminal line. An attempt without a journal becomes
  /// known by this.
  void mark_killed(std::string_view job, int attempt);

  /// Ids of all jobs that are done.
  [[nodiscard]] IdTable finished();
  /// Tokens/s of finished attempts by speed_key.
  [[nodiscard]] std::map<std::string, MeasuredSpeed> speeds();
  /// The jobs of a sweep in the order of its plan, those that others need first. Throws Error (not_found) where the
  /// sweep is unknown.
  [[nodiscard]] std::vector<WantedJob> wanted(std::string_view sweep);
  /// Throws Error (not_found) where the job is unknown.
  [[nodiscard]] JobState state_of(std::string_view job);
  /// Every job in this state.
  [[nodiscard]] std::vector<std::string> jobs_in(JobState state);
  /// Of all running jobs that have begun.
  [[nodiscard]] std::vector<JobProgress> progress();

  /// The name of the sweep that a user means: a name, or the path of a sweep file as `mestre run` was given it.
  /// Throws Error (not_found) where the sweep is unknown; the hint lists those that are known.
  [[nodiscard]] std::string resolve_sweep(const std::string& name_or_file);
  /// All sweeps, the last planned first.
  [[nodiscard]] std::vector<SweepSummary> sweeps(const KnownStates& known = {});
  /// The cells of a sweep in the order of the grid. Throws as resolve_sweep.
  [[nodiscard]] std::vector<CellStatus> cells(std::string_view sweep, const KnownStates& known = {});
  /// The cells of a sweep with the states of their jobs, in the order of the grid; none where the sweep is unknown.
  [[nodiscard]] std::vector<RecordedCell> recorded_cells(std::string_view sweep);
  /// Throws Error (not_found).
  [[nodiscard]] JobDetail job(std::string_view id);
  /// Ids of the jobs that WHERE names: a job id or at least 4 digits of its beginning, or labels as
  /// 'architecture=Samba,seed=3407' (in any order; those not named match all), optionally behind 'sweep/'. In the order
  /// of the grid; empty where nothing matches.
  [[nodiscard]] std::vector<std::string> find(std::string_view where);

 private:
  Database& database_;
};

}  // namespace mestre
