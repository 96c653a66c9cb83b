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

}  // namespace

std::optional<std::string> LocalRunner::refusal(const LaunchOptions& launch) const {
  if (launch.gpus > 0) return "the local runner has no GPU slots yet; expected resources.gpus = 0";
  return std::nullopt;
}

int LocalRunner::free_slots() const {
  int taken = 0;
  for (const auto& [job, running] : running_) taken += running.slots;
  return std::max(0, slots_ - taken);
}

void LocalRunner::start(std::string_view token, const Task& task) {
  const Launch launch = read_launch(task.folder);
  const std::string threads = std::to_string(launch.options.threads);
  std::vector<std::string> arguments(worker_.begin() + 1, worker_.end());
  arguments.insert(arguments.end(), {"run", task.folder.native(), "--token", std::string(token)});
  ProcessRequest request{.program = worker_.front(),
                         .arguments = std::move(arguments),
                         .output = early_log(workspace_, token, task.job),
                         .environment = {{"OMP_NUM_THREADS", threads}, {"MKL_NUM_THREADS", threads}}};
  running_.emplace(task.job, Running{.process = Process::start(request), .attempt = {}, .slots = task.slots});
}

bool LocalRunner::adopt(const Task& task) {
  const std::vector<int> numbers = attempts_of(task.folder);
  if (numbers.empty()) return false;
  const fs::path attempt = attempt_folder(task.folder, numbers.back());
  if (!FileLock::is_held(attempt / "lock")) return false;
  running_.emplace(task.job, Running{.process = {}, .attempt = attempt, .slots = task.slots});
  return true;
}

bool LocalRunner::poll_descriptors(std::chrono::milliseconds patience) {
  std::vector<pollfd> descriptors;
  for (auto& [job, running] : running_) {
    if (!running.process) {
      const auto record = find_record(running.attempt);
      if (record) running.process = Process::adopt(record->process);
    }
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
