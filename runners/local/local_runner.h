// Runs jobs on this machine, as many at a time as its cores and the memory of its GPUs allow. A job takes as many cores
// as it has threads, all of them where it has more. Its CUDA_VISIBLE_DEVICES names its GPUs, and nothing where it has
// none.
//
// Workers are leaders of their own sessions and survive us; adopt() finds them again through attempt.json and the
// attempt's lock.
#pragma once

#include <optional>
#include <unordered_map>

#include "core/journal/folders.h"
#include "runners/local/gpus.h"
#include "runners/local/process.h"
#include "runners/runner.h"

namespace mestre {

/// What of this machine jobs may have.
struct LocalMachine {
  int cores = 1;
  std::vector<InstalledGpu> gpus = {};
  int jobs_per_gpu = 0;  // at most; 0: as many as the memory of the GPU holds
};

class LocalRunner final : public Runner {
 public:
  /// `worker` is the program to start, with its first arguments; its early messages go to submissions/<token>/.
  LocalRunner(Workspace workspace, std::vector<std::string> worker, LocalMachine machine)
      : workspace_(std::move(workspace)),
        worker_(std::move(worker)),
        cores_(machine.cores),
        gpus_(std::move(machine.gpus), machine.jobs_per_gpu) {}

  [[nodiscard]] std::string_view name() const override { return "local"; }
  [[nodiscard]] std::optional<std::string> refusal(const Demand& demand) const override;
  [[nodiscard]] bool has_room(const Demand& demand) const override;
  [[nodiscard]] int at_a_time(const Demand& demand) const override;
  void start(std::string_view token, const Task& task) override;
  bool adopt(const Task& task) override;
  std::vector<EndedTask> wait(std::chrono::milliseconds patience) override;

 private:
  struct Running {
    std::optional<Process>
        process;       // nothing while an adopted worker holds its lock but has not said yet which process it is
    fs::path attempt;  // of an adopted worker
    Demand demand;
    GpuShare share = {};  // of an adopted worker once it is known which process it is
  };

  [[nodiscard]] int cores_of(const Demand& demand) const;
  [[nodiscard]] bool someone_may_hold_any_gpu() const;
  void look_for_process(Running& running);
  bool poll_descriptors(std::chrono::milliseconds patience);

  Workspace workspace_;
  std::vector<std::string> worker_;
  int cores_;
  int cores_taken_ = 0;
  GpuPool gpus_;
  std::unordered_map<std::string, Running> running_;
};

/// mestre-worker: $MESTRE_WORKER, else beside this program. Throws Error (not_found) with what to do.
[[nodiscard]] fs::path find_worker();

/// Cores that this process may use.
[[nodiscard]] int usable_cores();

/// The file that catches what a worker says before it has a log of its own.
[[nodiscard]] fs::path early_log(const Workspace& workspace, std::string_view token, std::string_view job);

}  // namespace mestre
