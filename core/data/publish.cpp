#include "core/data/publish.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/hash.h"

namespace mestre {
namespace {

constexpr std::string_view kLockSuffix = ".lock";

std::string partial_prefix(const fs::path& target) {
  return "." + target.filename().native() + ".partial-";
}

}  // namespace

PartialFolder::PartialFolder(fs::path target, const std::function<bool(const fs::path&)>& may_carry_on)
    : target_(std::move(target)) {
  make_durable_folders(target_.parent_path());
  clean_up(may_carry_on);
  if (carries_on_) return;
  path_ = target_.parent_path() / (partial_prefix(target_) + random_token().substr(0, 8));
  lock_path_ = path_.native() + std::string(kLockSuffix);
  // The lock comes first and goes last, so that a folder without one cannot be; patience is for others who look for
  // leftovers.
  lock_ = FileLock::try_acquire(lock_path_, std::chrono::seconds(1));
  if (!lock_)
    throw Error(ErrorCode::kBusy, fmt::format("somebody else holds '{}'", lock_path_.native()))
        .hint("run the same command again");
  if (::mkdir(path_.c_str(), 0755) != 0) throw system_error(errno, "create", path_.native());
}

PartialFolder::~PartialFolder() {
  if (is_kept_) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  fs::remove(lock_path_, ignored);
}

void PartialFolder::clean_up(const std::function<bool(const fs::path&)>& may_carry_on) {
  const std::string prefix = partial_prefix(target_);
  std::vector<fs::path> locks;
  for (const fs::directory_entry& entry : fs::directory_iterator(target_.parent_path())) {
    const std::string name = entry.path().filename().native();
    if (name.starts_with(prefix) && name.ends_with(kLockSuffix)) locks.push_back(entry.path());
  }
  for (const fs::path& lock_path : locks) {
    std::optional<FileLock> lock = FileLock::try_acquire(lock_path);
    if (!lock) continue;
    const fs::path folder = lock_path.native().substr(0, lock_path.native().size() - kLockSuffix.size());
    if (!carries_on_ && may_carry_on && may_carry_on(folder)) {
      carries_on_ = true;
      path_ = folder;
      lock_path_ = lock_path;
      lock_ = std::move(lock);
      continue;
    }
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    fs::remove(lock_path, ignored);
  }
}

void PartialFolder::publish(const std::function<void()>& may_replace) {
  sync_folder(path_);
  // rename() replaces an empty folder and refuses any other, so nothing that appeared meanwhile is lost.
  if (::rename(path_.c_str(), target_.c_str()) != 0) {
    if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
      throw system_error(errno, "rename to", target_.native());
    may_replace();
    replace();
  }
  sync_folder(target_.parent_path());
}

void PartialFolder::replace() {
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) throw system_error(errno, "rename to", target_.native());
  const fs::path old = path_.native() + "-old";
  if (::rename(target_.c_str(), old.c_str()) != 0) throw system_error(errno, "rename", target_.native());
  if (::rename(path_.c_str(), target_.c_str()) != 0) throw system_error(errno, "rename to", target_.native());
  std::error_code ignored;
  fs::remove_all(old, ignored);
}

}  // namespace mestre
