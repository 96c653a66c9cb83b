// Runs jobs on this machine: a fixed number of slots, each one core and one thread. A job takes as many as it has
// threads, all of them where it has more.
//
// Workers are leaders of their own sessions and survive us; adopt() finds them again through attempt.json and the
// attempt's lock.
#pragma once

#include <optional>
#include <unordered_map>

#include "core/journal/folders.h"
#include "runners/local/process.h"
#include "runners/runner.h"

namespace mestre {

class LocalRunner final : public Runner {
 public:
  /// `worker` is the program to start, with its first arguments; its early messages go to submissions/<token>/.
  LocalRunner(Workspace workspace, std::vector<std::string> worker, int slots)
      : workspace_(std::move(workspace)), worker_(std::move(worker)), slots_(slots) {}

  [[nodiscard]] std::string_view name() const override { return "local"; }
  [[nodiscard]] int slots() const override { return slots_; }
  [[nodiscard]] std::optional<std::string> refusal(const LaunchOptions& launch) const override;
  [[nodiscard]] int free_slots() const override;
  void start(std::string_view token, const Task& task) override;
  bool adopt(const Task& task) override;
  std::vector<EndedTask> wait(std::chrono::milliseconds patience) override;

 private:
  struct Running {
    std::optional<Process>
        process;       // nothing while an adopted worker holds its lock but has not said yet which process it is
    fs::path attempt;  // of an adopted worker
    int slots = 1;
  };

  bool poll_descriptors(std::chrono::milliseconds patience);

  Workspace workspace_;
  std::vector<std::string> worker_;
  int slots_;
  std::unordered_map<std::string, Running> running_;
};

/// mestre-worker: $MESTRE_WORKER, else beside this program. Throws Error (not_found) with what to do.
[[nodiscard]] fs::path find_worker();

/// Cores that this process may use.
[[nodiscard]] int usable_cores();

/// The file that catches what a worker says before it has a log of its own.
[[nodiscard]] fs::path early_log(const Workspace& workspace, std::string_view token, std::string_view job);

}  // namespace mestre
