// What a job is carried out with, whatever its kind; and the ways in which it can end early.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <utility>

#include "core/journal/attempt.h"
#include "core/journal/writer.h"

namespace mestre {

/// The attempt fails for a cause that the journal's `failed` line shall name. Everything worth keeping was kept before
/// it was thrown.
class JobFailure : public std::exception {
 public:
  JobFailure(Cause cause, std::string message) : cause_(cause), message_(std::move(message)) {}
  [[nodiscard]] Cause cause() const { return cause_; }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  Cause cause_;
  std::string message_;
};

/// A higher attempt owns the job now: nothing more may be published.
class Superseded : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "a higher attempt owns the job"; }
};

/// Lent to the code that carries out a job; all of it outlives the call.
struct JobContext {
  fs::path folder;  // the job's
  std::string id;
  int attempt = 0;
  Launch launch;
  JournalWriter* journal = nullptr;
  std::function<bool()> asked_to_stop;          // cheap: SIGTERM came
  std::function<void(const std::string&)> log;  // one line for people

  /// Throws Superseded where a higher attempt exists. Lists the job's folder: at checkpoints and once a second, not at
  /// every step.
  void require_ownership() const;
  /// Throws JobFailure: preempted, or deadline where `seconds` from now would pass it.
  void require_time(double seconds) const;
};

}  // namespace mestre
