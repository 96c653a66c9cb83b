// A folder that appears under its name only when it is complete.
//
// It is written beside its place, as .<name>.partial-<token>, under a lock that dies with its process, so that whoever
// comes later can tell the leftovers of a killed process from the work of a living one.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/base/files.h"

namespace mestre {

class PartialFolder {
 public:
  /// Takes over the first folder that a dead process left of an earlier attempt at `target` and of which
  /// `may_carry_on` says so, removes the others, and creates an empty one beside the target where none was taken over.
  /// Parents are created too.
  explicit PartialFolder(fs::path target, const std::function<bool(const fs::path&)>& may_carry_on = {});
  /// Removes the folder where it was not published and is not to be kept.
  ~PartialFolder();
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }
  /// True where the folder is an earlier attempt's.
  [[nodiscard]] bool carries_on() const { return carries_on_; }
  /// Leaves the folder for a later attempt.
  void keep() { is_kept_ = true; }

  /// Syncs the folder and renames it to the target. Where one is there, `may_replace` is asked first, and throws if it
  /// may not; then the two change places in one step (on file systems that cannot: in two, with a moment in which there
  /// is none) and the old one is removed.
  void publish(const std::function<void()>& may_replace);

 private:
  void clean_up(const std::function<bool(const fs::path&)>& may_carry_on);
  void replace();

  fs::path target_;
  fs::path path_;
  fs::path lock_path_;
  std::optional<FileLock> lock_;
  bool carries_on_ = false;
  bool is_kept_ = false;
};

}  // namespace mestre
