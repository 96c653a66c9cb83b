#include "runners/cli/dispatch.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <set>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/spec/document.h"
#include "runners/cli/output.h"
#include "runners/cli/plan_context.h"
#include "runners/cli/probe.h"
#include "runners/cli/worker_catalog.h"
#include "runners/coordinator_lock.h"
#include "runners/local/local_runner.h"
#include "store/database.h"

namespace mestre {
namespace {

std::atomic<Scheduler*> stoppable = nullptr;
static_assert(std::atomic<Scheduler*>::is_always_lock_free);

void stop_on_signal(int) {
  if (Scheduler* scheduler = stoppable.load()) scheduler->stop();
}

// Ctrl-C and a polite kill end the loop, not the process; a second one ends the process as always.
class StopOnSignal {
 public:
  explicit StopOnSignal(Scheduler& scheduler) {
    stoppable = &scheduler;
    struct sigaction action {};
    action.sa_handler = stop_on_signal;
    action.sa_flags = static_cast<int>(SA_RESETHAND);  // and no SA_RESTART: a waiting poll returns
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
  }
  ~StopOnSignal() {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    stoppable = nullptr;
  }
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;
};

// The program that carries out all jobs of the plans, with its first arguments.
std::vector<std::string> worker_of(const std::vector<Plan>& plans) {
  std::vector<std::string> command = plans.empty() ? std::vector<std::string>() : plans.front().worker_command;
  for (const Plan& plan : plans)
    if (plan.worker_command != command)
      throw Error(ErrorCode::kBadInput,
                  fmt::format("'{}' and '{}' are carried out by different workers", plans.front().file, plan.file))
          .hint("run them one after the other");
  if (command.empty()) return {find_worker().native()};
  if (command.front().find('/') != std::string::npos) return command;
  std::vector<std::string> found = {"/usr/bin/env"};  // looks it up in PATH
  found.insert(found.end(), command.begin(), command.end());
  return found;
}

WorkerCatalog ask_catalog(const fs::path& worker) {
  constexpr std::chrono::seconds kLimit{60};  // it loads Torch, perhaps over a network
  const Answer answer = ask({{.command = {worker.native(), "--catalog"}, .limit = kLimit}}).front();
  if (answer.is_success()) return read_worker_catalog(answer.output);
  throw Error(ErrorCode::kEnvironment, fmt::format("'{}' does not say what it can do", worker.native()))
      .hint("'mestre doctor' looks into it; 'make build' builds it, $MESTRE_WORKER names another");
}

// The GPUs that jobs of these plans may have: all that we may use ourselves. The driver is asked only where one is
// wanted; where it does not answer there are none, and the scheduler refuses the jobs.
std::vector<InstalledGpu> gpus_for(const std::vector<Plan>& plans) {
  const auto wants_gpu = [](const PlannedJob& job) { return job.launch.gpus > 0 && !job.finished; };
  if (std::none_of(plans.begin(), plans.end(),
                   [&](const Plan& plan) { return std::any_of(plan.jobs.begin(), plan.jobs.end(), wants_gpu); }))
    return {};
  constexpr std::chrono::seconds kLimit{60};  // a driver that nobody keeps loaded takes long to wake
  const Answer answer =
      ask({{.command = {"nvidia-smi", fmt::format("--query-gpu={}", kGpuColumns), "--format=csv,noheader,nounits"},
            .limit = kLimit}})
          .front();
  if (!answer.is_success()) return {};
  std::vector<InstalledGpu> gpus = read_gpus(answer.output);
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible != nullptr ? visible_gpus(gpus, visible) : gpus;
}

// Where the sweep says its name.
Position place_of_name(const Plan& plan, Diagnostics& diagnostics) {
  const int file = load_file(plan.file, plan.file, diagnostics);
  const std::optional<TomlValue> root = parse_toml(file, diagnostics);
  const TomlEntry* sweep = root ? root->find("sweep") : nullptr;
  const TomlEntry* name = sweep != nullptr ? sweep->value.find("name") : nullptr;
  return name != nullptr ? name->value.where : Position{.file = file};
}

// A sweep's name is that of its folder and of its rows in the store: the second would replace the first.
void check_names(const std::vector<Plan>& plans, Diagnostics& diagnostics) {
  std::map<std::string, const Plan*> first;
  for (const Plan& plan : plans) {
    const auto [other, is_new] = first.emplace(plan.name, &plan);
    if (is_new) continue;
    if (fs::equivalent(plan.file, other->second->file)) {
      diagnostics.error({.file = diagnostics.add_file(plan.file, "")}, "the file is given twice", {"expected it once"});
      continue;
    }
    diagnostics.add({.where = place_of_name(plan, diagnostics),
                     .message = fmt::format("two sweeps are called '{}'", plan.name),
                     .notes = {"expected names that differ: results are kept under them"},
                     .also = {place_of_name(*other->second, diagnostics)}});
  }
}

}  // namespace

std::optional<std::vector<Plan>> plan_files(const std::vector<std::string>& files, const Globals& globals,
                                            Diagnostics& diagnostics) {
  const PlanContext context = plan_context(globals);
  std::vector<Plan> plans;
  for (const std::string& file : files)
    if (std::optional<Plan> plan = plan_sweep(file, context, diagnostics)) plans.push_back(std::move(*plan));
  check_names(plans, diagnostics);
  if (diagnostics.has_errors() || plans.size() != files.size()) return std::nullopt;
  return plans;
}

std::optional<std::vector<Plan>> plan_files(const std::vector<std::string>& files, const Globals& globals) {
  Diagnostics diagnostics;
  std::optional<std::vector<Plan>> plans = plan_files(files, globals, diagnostics);
  put_note(diagnostics.render());
  return plans;
}

void require_data(const std::vector<Plan>& plans) {
  std::set<std::string> places, remedies;
  for (const Plan& plan : plans) {
    for (const MissingData& missing : plan.missing) {
      places.insert(fmt::format("'{}'", missing.place));
      remedies.insert(missing.remedy);
    }
  }
  if (places.empty()) return;
  Error error(ErrorCode::kNotFound, fmt::format("no data at {}", fmt::join(places, ", ")));
  for (const std::string& remedy : remedies) error.hint(remedy);
  throw error.hint("or name the folder that has them: --data FOLDER");
}

DispatchResult dispatch(const std::vector<Plan>& plans, const Globals& globals, const DispatchOptions& options,
                        RunObserver& observer) {
  const std::vector<std::string> worker = worker_of(plans);
  const bool all = options.only.empty();
  const auto has_work = [](const Plan& plan) { return !plan.features.empty(); };
  if (all && std::any_of(plans.begin(), plans.end(), has_work)) require_worker_can(ask_catalog(worker.front()), plans);
  const Workspace workspace{fs::absolute(globals.workspace).lexically_normal()};  // workers may start elsewhere
  const CoordinatorLock lock = CoordinatorLock::acquire(workspace);
  Database database = Database::open_for_writing(globals.database_path());
  LocalRunner runner(workspace, worker,
                     {.cores = options.slots, .gpus = gpus_for(plans), .jobs_per_gpu = options.jobs_per_gpu});
  const SchedulerSettings settings{.workspace = workspace,
                                   .data_root = globals.data_root,
                                   .retry_failed = options.retry_failed,
                                   .only = options.only};
  Scheduler scheduler(settings, plans, database, runner, observer);
  const StopOnSignal guard(scheduler);
  const bool all_done = scheduler.run();
  return {.all_done = all_done, .interrupted = scheduler.was_stopped() && !all_done, .started = scheduler.started()};
}

}  // namespace mestre
