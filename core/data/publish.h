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
  /// Removes what dead processes left of earlier attempts at `target`, and creates an empty folder beside it. Parents
  /// are created too.
  explicit PartialFolder(fs::path target);
  /// Removes the folder where it was not published.
  ~PartialFolder();
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }

  /// Syncs the folder and renames it to the target. Where one is there, `may_replace` is asked first, and throws if it
  /// may not; then the two change places in one step (on file systems that cannot: in two, with a moment in which there
  /// is none) and the old one is removed.
  void publish(const std::function<void()>& may_replace);

 private:
  void remove_leftovers() const;
  void replace();

  fs::path target_;
  fs::path path_;
  fs::path lock_path_;
  std::optional<FileLock> lock_;
};

}  // namespace mestre
