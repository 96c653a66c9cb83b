#include "runners/coordinator_lock.h"

#include <unistd.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/journal/attempt.h"

namespace mestre {
namespace {

// Rewritten in place: a rename would put another file, with another lock, under the name.
void sign(const FileLock& lock, const fs::path& path) {
  const ProcessIdentity us = this_process();
  const std::string text = fmt::format("process {} on {}\n", us.pid, us.host);
  if (::ftruncate(lock.descriptor(), 0) == 0) write_all(lock.descriptor(), text, path);
}

}  // namespace

std::optional<CoordinatorLock> CoordinatorLock::try_acquire(const Workspace& workspace) {
  if (!fs::is_directory(workspace.root)) return std::nullopt;
  std::optional<FileLock> lock = FileLock::try_acquire(workspace.coordinator_lock());
  if (!lock) return std::nullopt;
  sign(*lock, workspace.coordinator_lock());
  return CoordinatorLock(std::move(*lock));
}

CoordinatorLock CoordinatorLock::acquire(const Workspace& workspace) {
  make_durable_folders(workspace.root);
  if (auto lock = try_acquire(workspace)) return std::move(*lock);
  std::string holder = read_file_if_exists(workspace.coordinator_lock()).value_or("");
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  throw Error(ErrorCode::kBusy, fmt::format("another coordinator works on '{}': {}", workspace.root.native(),
                                            holder.empty() ? "it has not said who it is" : holder))
      .hint("wait for it, or stop it: its jobs go on, and the next 'mestre run' takes them over");
}

}  // namespace mestre
