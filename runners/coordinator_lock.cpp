#include "runners/coordinator_lock.h"

#include <unistd.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/journal/attempt.h"

namespace mestre {
namespace {

// Two hold the lock for moments only: `mestre status` while it folds journals in, and a child that a coordinator was
// forking for a worker when it was killed, until that child executes the worker.
constexpr std::chrono::milliseconds kLockPatience{3000};

// Rewritten in place: a rename would put another file, with another lock, under the name.
void sign(const FileLock& lock, const fs::path& path) {
  const ProcessIdentity us = this_process();
  const std::string text = fmt::format("process {} on {}\n", us.pid, us.host);
  if (::ftruncate(lock.descriptor(), 0) == 0) write_all(lock.descriptor(), text, path);
}

}  // namespace

std::optional<CoordinatorLock> CoordinatorLock::try_acquire(const Workspace& workspace,
                                                            std::chrono::milliseconds patience) {
  if (!fs::is_directory(workspace.root)) return std::nullopt;
  std::optional<FileLock> lock = FileLock::try_acquire(workspace.coordinator_lock(), patience);
  if (!lock) return std::nullopt;
  sign(*lock, workspace.coordinator_lock());
  return CoordinatorLock(std::move(*lock));
}

CoordinatorLock CoordinatorLock::acquire(const Workspace& workspace) {
  make_durable_folders(workspace.root);
  if (auto lock = try_acquire(workspace, kLockPatience)) return std::move(*lock);
  throw Error(ErrorCode::kBusy,
              fmt::format("another coordinator works on '{}': {}", workspace.root.native(), holder(workspace)))
      .hint("wait for it, or stop it: its jobs go on, and the next 'mestre run' takes them over");
}

std::string CoordinatorLock::holder(const Workspace& workspace) {
  std::string words = read_file_if_exists(workspace.coordinator_lock()).value_or("");
  while (!words.empty() && words.back() == '\n') words.pop_back();
  return words.empty() ? "somebody without a name" : words;
}

}  // namespace mestre
