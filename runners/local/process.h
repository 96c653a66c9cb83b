// Starting a process that outlives us, and watching it: ours or one that an earlier coordinator started.
//
// The only user of Boost.Process. A Process holds a pidfd, so that a number that was used again is never mistaken for
// the process that had it. Not thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/files.h"
#include "core/journal/attempt.h"

namespace mestre {

struct ProcessRequest {
  fs::path program;  // a path, not looked up in PATH
  std::vector<std::string> arguments;
  fs::path output;                                               // stdout and stderr are appended here
  std::vector<std::pair<std::string, std::string>> environment;  // set on top of ours
};

/// How a process ended. For one that is not our child the system does not say.
struct ExitReason {
  enum class Kind { kExited, kSignalled, kUnknown } kind = Kind::kUnknown;
  int value = 0;  // exit status, or number of the signal
};

/// "exit status 1", "killed by signal 9 (Killed)", "ended".
[[nodiscard]] std::string describe(const ExitReason& reason);

class Process {
 public:
  /// Starts the program as the leader of a session of its own, so that it survives us and our terminal.
  /// Throws Error (not_found, environment) where it cannot be started.
  [[nodiscard]] static Process start(const ProcessRequest& request);
  /// Attaches to a running process. Nothing where it has ended, or where host, boot or start time say that it is
  /// another one.
  [[nodiscard]] static std::optional<Process> adopt(const ProcessIdentity& identity);

  [[nodiscard]] std::int64_t pid() const { return pid_; }
  /// Becomes readable when the process ends: for poll(2).
  [[nodiscard]] int descriptor() const { return pidfd_.get(); }
  /// How it ended, or nothing while it runs. Reaps our own children.
  [[nodiscard]] std::optional<ExitReason> ended();
  /// Sends a signal; no effect once it has ended.
  void signal(int number) const;

 private:
  Process(std::int64_t pid, FileDescriptor pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  std::int64_t pid_;
  FileDescriptor pidfd_;
};

}  // namespace mestre
