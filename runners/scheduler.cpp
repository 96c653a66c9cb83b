#include "runners/scheduler.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/journal/attempt.h"

namespace mestre {
namespace {

constexpr auto kPollInterval =
    std::chrono::milliseconds(200);         // between two looks at the workers while nothing happens
constexpr double kIngestInterval = 1.0;     // s between two folds of the journals of running jobs
constexpr double kMemoryMargin = 1.15;      // how far the planner's estimate of a GPU's memory may be off
constexpr std::size_t kEarlyLogTail = 400;  // bytes of a worker's last words that a message quotes

struct Budget {
  std::string_view cause;
  int retries;
  bool environmental;
};

// What another attempt can mend. Bad input, a diverged loss and a bug would only happen again. After
// out_of_memory_gpu the job gets a GPU to itself, and passes no larger than fit.
constexpr std::array<Budget, 11> kBudgets = {{
    {"", 5, true},  // killed without a word
    {"out_of_memory_gpu", 1, false},
    {"out_of_memory_host", 1, true},
    {"diverged", 0, false},
    {"bad_input", 0, false},
    {"data", 0, true},
    {"deadline", 5, true},
    {"preempted", 100, true},
    {"node", 3, true},
    {"disk_full", 0, true},
    {"bug", 0, false},
}};

const Budget& budget_of(std::string_view cause) {
  const auto found = std::find_if(kBudgets.begin(), kBudgets.end(), [&](const Budget& b) { return b.cause == cause; });
  return found != kBudgets.end() ? *found : kBudgets.back();
}

std::string tail_of(const fs::path& file) {
  std::string text = read_file_if_exists(file).value_or("");
  if (text.size() > kEarlyLogTail) text.erase(0, text.size() - kEarlyLogTail);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

int retry_budget(std::string_view cause) {
  return budget_of(cause).retries;
}
bool is_environmental(std::string_view cause) {
  return budget_of(cause).environmental;
}

Scheduler::Scheduler(SchedulerSettings settings, std::span<const Plan> plans, Database& database, Runner& runner,
                     RunObserver& observer)
    : settings_(std::move(settings)),
      plans_(plans),
      ledger_(database),
      ingester_(database),
      runner_(runner),
      observer_(observer) {
  for (const Plan& plan : plans_) add_plan(plan);
}

void Scheduler::add_plan(const Plan& plan) {
  make_durable_folders(settings_.workspace.sweep(plan.name));
  write_file_atomically(settings_.workspace.sweep(plan.name) / "plan.json", plan_json(plan));
  ledger_.record_plan(plan);
  std::vector<const PlannedJob*> fresh;
  for (const PlannedJob& job : plan.jobs) {
    Entry entry{.planned = &job, .plan = &plan, .name = job.name, .folder = settings_.workspace.job(job.id)};
    if (entries_.emplace(job.id, std::move(entry)).second) fresh.push_back(&job);
  }
  for (const PlannedCell& cell : plan.cells) {
    for (const std::size_t index : cell.jobs) {
      Entry& entry = entries_.at(plan.jobs[index].id);
      if (entry.name == plan.jobs[index].name) entry.name = cell.name + " " + entry.name;
    }
  }
  for (const WantedJob& wanted : ledger_.wanted(plan.name)) entries_.at(wanted.id).state = wanted.state;
  std::stable_sort(fresh.begin(), fresh.end(), [](const auto* a, const auto* b) { return a->priority < b->priority; });
  for (const PlannedJob* job : fresh)
    if (settings_.only.empty() || settings_.only.contains(job->id)) order_.push_back(job->id);
}

bool Scheduler::run() {
  refuse_what_cannot_run();
  take_over();
  double next_ingest = 0;
  while (!stopped_) {
    start_ready();
    if (!unfinished()) break;
    const std::vector<EndedTask> ended = runner_.wait(kPollInterval);
    const double now = now_seconds();
    if (!ended.empty() || now >= next_ingest) {
      ingest(false);
      for (const EndedTask& task : ended) settle(task);
      observer_.tick(snapshot());
      next_ingest = now + kIngestInterval;
    }
  }
  return std::all_of(order_.begin(), order_.end(),
                     [&](const std::string& job) { return entries_.at(job).state == JobState::kDone; });
}

// Before anything starts: a job that can never run would fail only when its turn comes.
void Scheduler::refuse_what_cannot_run() const {
  for (const std::string& job : order_) {
    const Entry& entry = entries_.at(job);
    if (entry.state == JobState::kDone) continue;
    if (const std::optional<std::string> why = runner_.refusal(demand_of(entry)))
      throw Error(ErrorCode::kEnvironment, fmt::format("'{}' cannot run here", entry.name)).hint(*why);
  }
}

// Work is left while something runs or could be started; what waits for a failed job could not.
bool Scheduler::unfinished() const {
  for (const auto& [job, entry] : entries_)
    if (entry.watched) return true;
  return !ready_jobs().empty();
}

bool Scheduler::is_asked(const std::string& job) const {
  return settings_.only.empty() || settings_.only.contains(job);
}

// Finds out what became of every job that a run before this one left behind. Whatever the store says of them, after
// this a job is done, watched, queued, or failed for good.
void Scheduler::take_over() {
  for (const std::string& job : ledger_.jobs_in(JobState::kRunning))
    entries_.try_emplace(job, Entry{.name = job, .folder = settings_.workspace.job(job), .state = JobState::kRunning});
  ingest(true);
  std::map<JobState, std::vector<std::string_view>> changed;
  for (auto& [job, entry] : entries_) {
    const JobState before = entry.state = ledger_.state_of(job);
    if (before == JobState::kDone || !is_asked(job)) continue;
    if (adopt(job, entry)) {
      entry.state = JobState::kRunning;
    } else {
      const LastEnd end = last_end(job, entry);
      const bool again =
          !end.failed || is_environmental(end.cause) || (settings_.retry_failed && entry.planned != nullptr);
      entry.state = again ? JobState::kQueued : JobState::kFailed;
    }
    if (entry.state != before) changed[entry.state].push_back(job);
  }
  for (const auto& [state, jobs] : changed) ledger_.set_states(jobs, state);
}

bool Scheduler::adopt(const std::string& job, Entry& entry) {
  if (!fs::exists(entry.folder) || !runner_.adopt({.job = job, .folder = entry.folder, .demand = demand_of(entry)}))
    return false;
  entry.watched = true;
  observer_.job_adopted(entry.name, entry.folder);
  return true;
}

// The store knows an attempt by its journal. One that died before it had a journal is known by its folder alone, and
// what an earlier attempt said of itself does not speak for it.
Scheduler::LastEnd Scheduler::last_end(const std::string& job, const Entry& entry) {
  const std::vector<int> attempts = attempts_of(entry.folder);
  if (attempts.empty()) return {};
  const JobDetail detail = ledger_.job(job);
  for (const AttemptDetail& attempt : detail.attempts)
    if (attempt.number == attempts.back() && attempt.outcome == "failed")
      return {.failed = true, .cause = attempt.cause, .message = attempt.message};
  ledger_.mark_killed(job, attempts.back());
  return {};
}

void Scheduler::ingest(bool all) {
  std::vector<fs::path> folders;
  for (const auto& [job, entry] : entries_)
    if (entry.watched || (all && entry.state != JobState::kDone && fs::exists(entry.folder)))
      folders.push_back(entry.folder);
  for (const IngestProblem& problem : ingester_.ingest(folders).problems) {
    const std::string message =
        fmt::format("{}/attempt-{}: {}{}", problem.job_folder.native(), problem.attempt, problem.message,
                    problem.quarantined ? "; the rest of its journal is quarantined" : "");
    if (complaints_.insert(message).second) observer_.problem(message);
  }
}

void Scheduler::settle(const EndedTask& ended) {
  Entry& entry = entries_.at(ended.job);
  entry.watched = false;
  JobEnd end{.job = ended.job, .name = entry.name};
  if (entry.started_at > 0) end.seconds = now_seconds() - entry.started_at;
  if (ledger_.state_of(ended.job) == JobState::kDone) {
    entry.state = JobState::kDone;
    end.done = true;
    observer_.job_ended(end);
    return;
  }
  LastEnd last = last_end(ended.job, entry);
  if (!last.failed && ended.disk_full)
    last = {.failed = true, .cause = "disk_full", .message = "no space left to write even the journal"};
  if (last.failed) {
    end.reason = last.cause + ": " + last.message;
  } else {
    end.reason = ended.how;
    if (const std::string words = tail_of(settings_.workspace.submission(entry.token) / (ended.job + ".log"));
        !words.empty())
      end.reason += "; it said: " + words;
  }
  const bool may_retry = ++entry.failures[last.cause] <= retry_budget(last.cause);
  end.again = may_retry && entry.planned != nullptr;
  entry.needs_more_memory |= last.cause == "out_of_memory_gpu";
  entry.state = may_retry ? JobState::kQueued : JobState::kFailed;
  entry.token.clear();  // another attempt needs a new submission, so that a worker that is late finds itself replaced
  ledger_.set_state(ended.job, entry.state);
  observer_.job_ended(end);
}

bool Scheduler::is_ready(const Entry& entry) const {
  if (entry.planned == nullptr || entry.state != JobState::kQueued) return false;
  return std::all_of(entry.planned->needs.begin(), entry.planned->needs.end(),
                     [&](std::size_t need) { return entries_.at(entry.plan->jobs[need].id).state == JobState::kDone; });
}

std::vector<std::string> Scheduler::ready_jobs() const {
  std::vector<std::string> ready;
  for (const std::string& job : order_)
    if (is_ready(entries_.at(job))) ready.push_back(job);
  return ready;
}

void Scheduler::start_ready() {
  if (!runner_.has_room({})) return;
  const std::vector<std::string> ready = ready_jobs();
  std::vector<std::string> unsubmitted;
  for (const std::string& job : ready)
    if (entries_.at(job).token.empty()) unsubmitted.push_back(job);
  if (!unsubmitted.empty()) submit(unsubmitted);
  std::vector<std::string_view> begun;
  for (const std::string& job : ready) {
    // What comes first waits for its place: smaller jobs behind it must not keep it waiting for ever.
    if (!runner_.has_room(demand_of(entries_.at(job))) || stopped_) break;
    start(job);
    begun.push_back(job);
  }
  ledger_.set_states(begun, JobState::kRunning);
}

// The intent of all jobs that could start, in one commit: afterwards each start costs no more than its process.
void Scheduler::submit(std::span<const std::string> jobs) {
  Submission submission{
      .token = random_token(), .runner = std::string(runner_.name()), .members = {jobs.begin(), jobs.end()}};
  std::string tasks = "index\tjob\tname\n";
  for (std::size_t index = 0; index < jobs.size(); ++index)
    tasks += fmt::format("{}\t{}\t{}\n", index, jobs[index], entries_.at(jobs[index]).name);
  const fs::path folder = settings_.workspace.submission(submission.token);
  std::vector<fs::path> folders = {folder};
  for (const std::string& job : jobs) folders.push_back(entries_.at(job).folder);
  make_durable_folders(folders);
  write_file_atomically(folder / "tasks.tsv", tasks);
  ledger_.record_submission(submission);
  for (const std::string& job : jobs) entries_.at(job).token = submission.token;
}

void Scheduler::start(const std::string& job) {
  Entry& entry = entries_.at(job);
  const PlannedJob& planned = *entry.planned;
  const std::string spec = planned.spec + "\n";
  if (read_file_if_exists(entry.folder / "job.json") != spec) replace_file(entry.folder / "job.json", spec);
  const Launch launch{.token = entry.token,
                      .data_root = fs::absolute(settings_.data_root).lexically_normal().native(),
                      .data = planned.data,
                      .validation = planned.validation,
                      .validation_digest = planned.validation_digest,
                      .options = launch_of(entry),
                      .deadline = planned.launch.time > 0 ? now_seconds() + planned.launch.time : 0};
  replace_file(entry.folder / "launch.json", to_json(launch));
  runner_.start(entry.token, {.job = job, .folder = entry.folder, .demand = demand_of(entry)});
  entry.state = JobState::kRunning;
  entry.watched = true;
  entry.started_at = now_seconds();
  ++started_;
  observer_.job_started(entry.name, entry.folder);
}

// How the planned job is carried out. More and smaller passes are the same experiment.
LaunchOptions Scheduler::launch_of(const Entry& entry) {
  LaunchOptions launch = entry.planned->launch;
  if (entry.needs_more_memory) launch.micro_batch = kAutoMicroBatch;
  return launch;
}

// What fits is found out on a GPU that nobody else fills meanwhile.
Demand Scheduler::demand_of(const Entry& entry) {
  if (entry.planned == nullptr) return {};
  const LaunchOptions launch = launch_of(entry);
  Demand demand{.cores = static_cast<int>(launch.threads), .gpus = static_cast<int>(launch.gpus)};
  if (launch.gpus == 1 && launch.micro_batch != kAutoMicroBatch)
    demand.gpu_memory = kMemoryMargin * entry.planned->estimate.memory.total();
  return demand;
}

RunSnapshot Scheduler::snapshot() {
  RunSnapshot now;
  std::unordered_map<std::string, JobProgress> progress;
  for (JobProgress& one : ledger_.progress()) progress.emplace(one.job, std::move(one));
  const std::map<std::string, MeasuredSpeed> speeds = ledger_.speeds();
  for (const std::string& job : order_) {
    const Entry& entry = entries_.at(job);
    ++now.jobs;
    now.jobs_done += entry.state == JobState::kDone ? 1 : 0;
    now.jobs_failed += entry.state == JobState::kFailed ? 1 : 0;
    if (entry.state == JobState::kDone || entry.state == JobState::kFailed) continue;
    double share_left = 1;
    const auto measured = speeds.find(entry.planned->speed_key);
    double speed = measured != speeds.end() ? measured->second.tokens_per_second : 0;
    if (entry.state == JobState::kRunning) {
      ++now.jobs_running;
      const auto found = progress.find(job);
      if (found != progress.end() && found->second.tokens_per_second > 0 && found->second.total > 0) {
        speed = found->second.tokens_per_second;
        now.tokens_per_second += speed;
        share_left = 1 - found->second.done / found->second.total;
      }
    }
    const Estimate& estimate = entry.planned->estimate;
    now.seconds_left +=
        share_left * (speed > 0 ? estimate.tokens / speed : estimate.seconds) / runner_.at_a_time(demand_of(entry));
  }
  for (const Plan& plan : plans_) {
    for (const PlannedCell& cell : plan.cells) {
      ++now.cells;
      now.cells_done += std::all_of(cell.jobs.begin(), cell.jobs.end(), [&](std::size_t index) {
        return entries_.at(plan.jobs[index].id).state == JobState::kDone;
      });
    }
  }
  return now;
}

}  // namespace mestre
