// What a worker says it can do (mestre-worker --catalog), compared with what this planner writes into jobs.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/plan/plan.h"

namespace mestre {

struct WorkerCatalog {
  std::string build;         // for people: "0.1.0 (1a2b3c4d), torch 2.11.0"
  std::string disagreement;  // the first version that differs from ours, "mixers.mamba is 2 there, 1 here"; empty where
                             // all agree. A mixer or task that it does not have at all is no disagreement
  std::set<std::string> features;  // what it can do, in the words of features_of(job)
};

/// Reads the catalogue's JSON. A worker that knows more than we do agrees. Throws Error (environment) where it is no
/// catalogue.
[[nodiscard]] WorkerCatalog read_worker_catalog(std::string_view json);

/// Throws Error (environment) where versions differ, or where a plan has unfinished jobs that need what the worker
/// cannot do: the message names each such thing and a cell.
void require_worker_can(const WorkerCatalog& catalog, const std::vector<Plan>& plans);

}  // namespace mestre
