// A plan against what the store has recorded of its sweep: what an edit of the file adds, keeps, changes and drops.
// Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/plan/plan.h"

namespace mestre {

struct RecordedJob {
  std::string name;  // "train", or the name of the [[evaluate]]
  std::string id;
  std::string state;  // "queued", "running", "done", "failed"
};

/// A cell as it was when the sweep was last run.
struct RecordedCell {
  std::string name;
  std::string options;  // canonical JSON
  std::vector<RecordedJob> jobs;
};

struct PlanDiff {
  /// A cell of both, with the jobs that it no longer wants and those that are new to it.
  struct Change {
    std::size_t cell = 0;      // of the plan
    std::size_t recorded = 0;  // of the recorded cells
    std::vector<RecordedJob> dropped;
    std::vector<std::size_t> added;  // jobs of the plan
  };
  std::vector<std::size_t> added;    // cells of the plan that are not recorded
  std::vector<std::size_t> kept;     // cells of the plan with the very jobs that are recorded
  std::vector<Change> changed;       // cells of the same name with other jobs
  std::vector<std::size_t> dropped;  // recorded cells that the plan does not have
  std::vector<RecordedJob> orphans;  // recorded jobs that no cell of the plan wants, each once
};

/// Cells are the same by name, jobs by id.
[[nodiscard]] PlanDiff diff_plan(const Plan& plan, const std::vector<RecordedCell>& recorded);

}  // namespace mestre
