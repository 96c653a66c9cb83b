#include "runners/local/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <boost/asio/io_context.hpp>
#include <boost/process/v2/process.hpp>
#include <boost/process/v2/stdio.hpp>
#include <fmt/format.h>

#include "core/base/error.h"

namespace mestre {
namespace {

namespace bp = boost::process::v2;

// Runs in the child between fork and exec.
struct SessionLeader {
  template <class Launcher>
  boost::system::error_code on_exec_setup(Launcher&, const bp::filesystem::path&, const char* const*) const {
    if (::setsid() < 0) return {errno, boost::system::system_category()};
    // Ours close by themselves; what we inherited without that flag (a pipe of make, say) must not live on in a worker.
    ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
    return {};
  }
};

FileDescriptor open_pidfd(std::int64_t pid) {
  return FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
}

// Our environment with the request's variables on top, as execve wants it.
class EnvironmentBlock {
 public:
  explicit EnvironmentBlock(const ProcessRequest& request) {
    for (char** entry = ::environ; *entry != nullptr; ++entry) {
      const std::string_view text(*entry);
      const std::string_view name = text.substr(0, text.find('='));
      const auto same = [&](const auto& variable) { return variable.first == name; };
      if (std::none_of(request.environment.begin(), request.environment.end(), same)) entries_.emplace_back(text);
    }
    for (const auto& [name, value] : request.environment) entries_.push_back(fmt::format("{}={}", name, value));
    for (const std::string& entry : entries_) pointers_.push_back(entry.c_str());
    pointers_.push_back(nullptr);
  }
  [[nodiscard]] const char* const* get() const { return pointers_.data(); }

 private:
  std::vector<std::string> entries_;
  std::vector<const char*> pointers_;
};

}  // namespace

std::string describe(const ExitReason& reason) {
  switch (reason.kind) {
    case ExitReason::Kind::kExited:
      return fmt::format("exit status {}", reason.value);
    case ExitReason::Kind::kSignalled:
      return fmt::format("killed by signal {} ({})", reason.value, ::strsignal(reason.value));
    case ExitReason::Kind::kUnknown:
      break;
  }
  return "ended";
}

Process Process::start(const ProcessRequest& request) {
  const FileDescriptor output(::open(request.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!output.is_open()) throw system_error(errno, "create log", request.output.native());
  // Boost would open /dev/null itself, but lets the child inherit a second descriptor of it.
  const FileDescriptor input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!input.is_open()) throw system_error(errno, "open", "/dev/null");
  boost::asio::io_context context;
  boost::system::error_code problem;
  const EnvironmentBlock environment(request);
  bp::default_process_launcher launcher;
  launcher.env = environment.get();  // its own environment class would draw in Boost.Filesystem
  auto child = launcher(context.get_executor(), problem, request.program.native(), request.arguments, SessionLeader{},
                        bp::process_stdio{.in = input.get(), .out = output.get(), .err = output.get()});
  if (problem) {
    throw Error(problem.value() == ENOENT ? ErrorCode::kNotFound : ErrorCode::kEnvironment,
                fmt::format("cannot start '{}': {}", request.program.native(), problem.message()));
  }
  const std::int64_t pid = child.id();
  child.detach();  // its destructor would kill the child
  FileDescriptor pidfd = open_pidfd(pid);
  if (!pidfd.is_open()) throw system_error(errno, "watch the process of", request.program.native());
  return {pid, std::move(pidfd)};
}

std::optional<Process> Process::adopt(const ProcessIdentity& identity) {
  const ProcessIdentity here = this_process();
  if (identity.host != here.host || identity.boot_id != here.boot_id) return std::nullopt;
  FileDescriptor pidfd = open_pidfd(identity.pid);
  // The descriptor is taken first: whatever has this start time now is what the descriptor stands for.
  if (!pidfd.is_open() || start_time_of(identity.pid) != identity.start_time) return std::nullopt;
  Process process(identity.pid, std::move(pidfd));
  if (process.ended()) return std::nullopt;
  return process;
}

std::optional<ExitReason> Process::ended() {
  pollfd ready{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, 0) <= 0) return std::nullopt;
  siginfo_t info{};
  if (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) != 0 ||
      info.si_pid == 0)
    return ExitReason{};
  if (info.si_code == CLD_EXITED) return ExitReason{.kind = ExitReason::Kind::kExited, .value = info.si_status};
  return ExitReason{.kind = ExitReason::Kind::kSignalled, .value = info.si_status};
}

void Process::signal(int number) const {
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

}  // namespace mestre
