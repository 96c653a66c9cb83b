#include "runners/local/local_runner.h"

#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "core/base/error.h"

namespace mestre {
namespace {

constexpr auto kLockPollInterval = std::chrono::milliseconds(50);  // for workers known by their lock alone

// attempt.json is optional: one that cannot be read is as none.
std::optional<AttemptRecord> find_record(const fs::path& attempt) {
  try {
    return read_attempt_record(attempt);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// A variable of a process as it was started; empty where it has none or cannot be asked any more.
std::string variable_of(std::int64_t pid, std::string_view name) {
  std::string block;
  try {
    block = read_file_if_exists(fmt::format("/proc/{}/environ", pid)).value_or("");
  } catch (const Error&) {
    return {};
  }
  for (std::size_t begin = 0; begin < block.size();) {
    const std::size_t end = std::min(block.find('\0', begin), block.size());
    const std::string_view entry = std::string_view(block).substr(begin, end - begin);
    if (entry.starts_with(name) && entry.substr(name.size()).starts_with('='))
      return std::string(entry.substr(name.size() + 1));
    begin = end + 1;
  }
  return {};
}

}  // namespace

std::optional<std::string> LocalRunner::refusal(const Demand& demand) const {
  if (static_cast<std::size_t>(demand.gpus) <= gpus_.size()) return std::nullopt;
  return fmt::format("it takes {} GPU{}, and this machine has {}", demand.gpus, demand.gpus == 1 ? "" : "s",
                     gpus_.description());
}

int LocalRunner::cores_of(const Demand& demand) const {
  return std::clamp(demand.cores, 1, cores_);
}

bool LocalRunner::has_room(const Demand& demand) const {
  if (cores_taken_ + cores_of(demand) > cores_) return false;
  return demand.gpus == 0 || (!someone_may_hold_any_gpu() && gpus_.find(demand.gpus, demand.gpu_memory));
}

int LocalRunner::at_a_time(const Demand& demand) const {
  const int by_cores = cores_ / cores_of(demand);
  const int jobs =
      demand.gpus == 0 ? by_cores : std::min(by_cores, gpus_.jobs_at_a_time(demand.gpus, demand.gpu_memory));
  return std::max(1, jobs);
}

// A worker that holds its lock and has not said which process it is.
bool LocalRunner::someone_may_hold_any_gpu() const {
  return std::any_of(running_.begin(), running_.end(), [](const auto& entry) { return !entry.second.process; });
}

void LocalRunner::start(std::string_view token, const Task& task) {
  const Launch launch = read_launch(task.folder);
  const std::string threads = std::to_string(launch.options.threads);
  const GpuShare share = gpus_.find(task.demand.gpus, task.demand.gpu_memory).value_or(GpuShare{});
  std::vector<std::string> arguments(worker_.begin() + 1, worker_.end());
  arguments.insert(arguments.end(), {"run", task.folder.native(), "--token", std::string(token)});
  ProcessRequest request{
      .program = worker_.front(),
      .arguments = std::move(arguments),
      .output = early_log(workspace_, token, task.job),
      .environment = {
          {"OMP_NUM_THREADS", threads}, {"MKL_NUM_THREADS", threads}, {"CUDA_VISIBLE_DEVICES", gpus_.variable(share)}}};
  running_.emplace(task.job,
                   Running{.process = Process::start(request), .attempt = {}, .demand = task.demand, .share = share});
  cores_taken_ += cores_of(task.demand);
  gpus_.take(share);
}

bool LocalRunner::adopt(const Task& task) {
  const std::vector<int> numbers = attempts_of(task.folder);
  if (numbers.empty()) return false;
  const fs::path attempt = attempt_folder(task.folder, numbers.back());
  if (!FileLock::is_held(attempt / "lock")) return false;
  Running& running =
      running_.emplace(task.job, Running{.process = {}, .attempt = attempt, .demand = task.demand}).first->second;
  cores_taken_ += cores_of(task.demand);
  look_for_process(running);
  return true;
}

// Which GPUs it has is asked of the process itself: nothing else is sure to say so after a crash.
void LocalRunner::look_for_process(Running& running) {
  const auto record = find_record(running.attempt);
  if (!record) return;
  running.process = Process::adopt(record->process);
  if (!running.process) return;
  running.share = gpus_.named(variable_of(record->process.pid, "CUDA_VISIBLE_DEVICES"), running.demand.gpu_memory);
  gpus_.take(running.share);
}

bool LocalRunner::poll_descriptors(std::chrono::milliseconds patience) {
  std::vector<pollfd> descriptors;
  for (auto& [job, running] : running_) {
    if (!running.process) look_for_process(running);
    if (running.process) {
      descriptors.push_back({.fd = running.process->descriptor(), .events = POLLIN, .revents = 0});
    } else {
      patience = std::min(patience, kLockPollInterval);
    }
  }
  return ::poll(descriptors.data(), descriptors.size(), static_cast<int>(patience.count())) >= 0;
}

std::vector<EndedTask> LocalRunner::wait(std::chrono::milliseconds patience) {
  poll_descriptors(patience);
  std::vector<EndedTask> ended;
  for (auto at = running_.begin(); at != running_.end();) {
    Running& running = at->second;
    std::optional<ExitReason> reason;
    if (running.process) {
      reason = running.process->ended();
    } else if (!FileLock::is_held(running.attempt / "lock")) {
      reason = ExitReason{};
    }
    if (reason) {
      ended.push_back({.job = at->first,
                       .how = describe(*reason),
                       .disk_full = reason->kind == ExitReason::Kind::kExited && reason->value == kExitNoSpace});
      cores_taken_ -= cores_of(running.demand);
      gpus_.give_back(running.share);
      at = running_.erase(at);
    } else {
      ++at;
    }
  }
  return ended;
}

fs::path find_worker() {
  if (const char* named = std::getenv("MESTRE_WORKER"); named != nullptr && *named != '\0') return named;
  std::error_code problem;
  fs::path beside = fs::read_symlink("/proc/self/exe", problem).parent_path() / "mestre-worker";
  if (fs::exists(beside, problem)) return beside;
  throw Error(ErrorCode::kNotFound, fmt::format("there is no worker at '{}'", beside.native()))
      .hint("build it with 'make build', or name it in $MESTRE_WORKER");
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

fs::path early_log(const Workspace& workspace, std::string_view token, std::string_view job) {
  return workspace.submission(token) / (std::string(job) + ".log");
}

}  // namespace mestre
