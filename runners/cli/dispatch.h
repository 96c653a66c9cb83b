// What `run` and `exec` share: planning the files, holding the workspace, driving the scheduler, stopping on a signal.
#pragma once

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/plan/plan.h"
#include "runners/cli/command.h"
#include "runners/scheduler.h"

namespace mestre {

/// Plans the files with what the store knows. Shows what is wrong with them on stderr; nothing where there are errors.
[[nodiscard]] std::optional<std::vector<Plan>> plan_files(const std::vector<std::string>& files,
                                                          const Globals& globals);
/// The same, and what is wrong stays in `diagnostics`.
[[nodiscard]] std::optional<std::vector<Plan>> plan_files(const std::vector<std::string>& files, const Globals& globals,
                                                          Diagnostics& diagnostics);

/// Throws Error (not_found) where a plan names data that are not there: then nothing may be run.
void require_data(const std::vector<Plan>& plans);

/// What a dispatch came to.
struct DispatchResult {
  bool all_done = false;
  bool interrupted = false;
  std::int64_t started = 0;  // attempts
};

struct DispatchOptions {
  int slots = 1;                              // cores for jobs
  int jobs_per_gpu = 0;                       // at most; 0: as many as its memory holds
  bool retry_failed = false;                  // also jobs that failed by their own fault
  std::unordered_set<std::string> only = {};  // ids of the jobs to run; empty: all
};

/// Takes the workspace, starts what is missing on this machine, and returns when nothing is left to do or a signal
/// asked to stop; then running jobs go on without us. Throws Error (busy) where another coordinator holds the
/// workspace.
[[nodiscard]] DispatchResult dispatch(const std::vector<Plan>& plans, const Globals& globals,
                                      const DispatchOptions& options, RunObserver& observer);

}  // namespace mestre
