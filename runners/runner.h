// Where jobs run: what the scheduler asks of this machine or of Slurm.
//
// A runner starts workers and says when they end; it never decides what runs, never writes the store, and needs no
// memory of its own: what it must find again after a crash is in the jobs' folders. One thread.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.h"

namespace mestre {

/// What a job takes of a machine while it runs.
struct Demand {
  int cores = 1;  // one thread each
  int gpus = 0;
  double gpu_memory = 0;  // bytes of its GPU; 0: it shares its GPUs with nobody
};

/// One job that a submission may run now. launch.json bears the submission's token already.
struct Task {
  std::string job;  // id
  fs::path folder;
  Demand demand;
};

/// A job whose process is gone.
struct EndedTask {
  std::string job;
  std::string how;         // "exit status 1", "killed by signal 9 (Killed)", "ended"
  bool disk_full = false;  // it had not even the space to say so in its journal
};

class Runner {
 public:
  virtual ~Runner() = default;
  /// "local", "slurm": stands in the store.
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Why this runner can never carry out a job that takes so much; nothing where it can.
  [[nodiscard]] virtual std::optional<std::string> refusal(const Demand& demand) const = 0;
  /// Whether such a job can start now.
  [[nodiscard]] virtual bool has_room(const Demand& demand) const = 0;
  /// How many such jobs run side by side where nothing else does; at least 1.
  [[nodiscard]] virtual int at_a_time(const Demand& demand) const = 0;
  /// Starts one task of the submission `token`. Throws Error where it cannot.
  virtual void start(std::string_view token, const Task& task) = 0;
  /// Takes over a worker that an earlier coordinator started. False where the job's last attempt does not live.
  virtual bool adopt(const Task& task) = 0;
  /// The jobs that ended since the last call; waits for one at most `patience`, less where a signal arrives.
  virtual std::vector<EndedTask> wait(std::chrono::milliseconds patience) = 0;
};

}  // namespace mestre
