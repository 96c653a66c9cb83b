// One coordinator per workspace: whoever holds flock on <workspace>/coordinator.lock for his life.
//
// The file says who holds it, for the message that a second coordinator prints. The lock dies with its holder, however
// he ends.
#pragma once

#include "core/base/files.h"
#include "core/journal/folders.h"

namespace mestre {

class CoordinatorLock {
 public:
  /// Creates the workspace where need be. Throws Error (busy) that names the holder, once he has held on for seconds.
  [[nodiscard]] static CoordinatorLock acquire(const Workspace& workspace);
  /// Nothing where somebody still holds it after `patience`, or where there is no workspace yet.
  [[nodiscard]] static std::optional<CoordinatorLock> try_acquire(const Workspace& workspace,
                                                                  std::chrono::milliseconds patience = {});
  /// Who holds the lock, or did last, in his own words: "process 4711 on host".
  [[nodiscard]] static std::string holder(const Workspace& workspace);

 private:
  explicit CoordinatorLock(FileLock lock) : lock_(std::move(lock)) {}
  FileLock lock_;
};

}  // namespace mestre
