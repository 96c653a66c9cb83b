// What a worker says it can do (mestre-worker --catalog), compared with what this planner writes into jobs.
#pragma once

#include <string>
#include <string_view>

namespace mestre {

struct WorkerCatalog {
  std::string build;         // for people: "0.1.0 (1a2b3c4d), torch 2.11.0"
  std::string disagreement;  // the first version that differs from ours, "mixers.mamba is 2 there, 1 here"; empty where
                             // all agree
};

/// Reads the catalogue's JSON. A worker that knows more than we do agrees. Throws Error (environment) where it is no
/// catalogue.
[[nodiscard]] WorkerCatalog read_worker_catalog(std::string_view json);

}  // namespace mestre
