// Folds the journals of attempts into the store, exactly once.
//
// Rows and the cursor that they came from commit together, so a crash at any instant leaves each point there once or
// not yet. Owns nothing: the database outlives it. One ingester per store at a time (the coordinator's lock); not
// thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/database.h"

namespace mestre {

/// Something that is wrong with one attempt (0: with the whole job); the others were ingested all the same.
struct IngestProblem {
  fs::path job_folder;
  int attempt = 0;
  std::string message;
  bool quarantined = false;  // the attempt is over, and its journal behind the good lines will not be read again; else
                             // it is tried again
};

struct IngestReport {
  std::int64_t lines = 0;
  std::int64_t points = 0;
  std::vector<IngestProblem> problems;
};

class Ingester {
 public:
  /// A call commits after about so many lines, and at its end.
  explicit Ingester(Database& database, std::int64_t lines_per_transaction = 200'000);
  ~Ingester();
  Ingester(const Ingester&) = delete;
  Ingester& operator=(const Ingester&) = delete;

  /// Reads what is new in the journals of all attempts in these job folders and commits it. A job that the ledger does
  /// not know is added from its job.json, so the store can be rebuilt from the folders alone. `finished` sets the job
  /// done in the same transaction; nothing else changes a job's state.
  ///
  /// A torn tail is left for the next call. A corrupt line, a journal shorter than its cursor, or a line that is no
  /// event stops that attempt: a problem is reported, and once its worker is gone the rest is quarantined. What could
  /// not be read (too many open files, a disk or a network that fails) is reported and left for the next call. Throws
  /// Error (disk_full, busy, io) where the store cannot be written; what was committed before stays, the rest comes
  /// with the next call.
  IngestReport ingest(std::span<const fs::path> job_folders);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
  Database& database_;
};

}  // namespace mestre
