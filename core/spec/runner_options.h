// How jobs are handed to a cluster, and a worker that the sweep brings along. Neither depends on the cell.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/options.h"

namespace mestre {

/// [slurm]: what `sbatch` is told besides [resources]. Empty: as the cluster does it. Changes no result.
struct SlurmOptions final : Options {
  std::string partition;
  std::string account;
  std::string qos;
  std::string constraint;
  std::string reservation;
  std::string nodes_exclude;
  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const;
};

/// [worker]: a program that carries out the jobs in the place of mestre-worker (runners/worker/worker_contract.md). Its
/// version is part of the identity of its jobs, as the fact that it is not ours.
struct WorkerOptions final : Options {
  std::vector<std::string> command;  // program and arguments; "run FOLDER --token T" follows
  std::int64_t version = 0;
  void describe(OptionVisitor& visitor) override;
  void check(const Problem& problem) const;
};

}  // namespace mestre
