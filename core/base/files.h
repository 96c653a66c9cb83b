// Files that survive a crash: atomic replacement, durable folders, locks that die with their holder.
//
// Everything throws Error with the path in its message. Nothing here is shared between threads.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mestre {

namespace fs = std::filesystem;

/// An open file descriptor, closed on destruction. Move only.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  ~FileDescriptor() { close(); }
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  [[nodiscard]] int get() const { return descriptor_; }
  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  int release();
  void close();

 private:
  int descriptor_ = -1;
};

/// The whole file. Throws kNotFound where there is none.
[[nodiscard]] std::string read_file(const fs::path& path);
/// The whole file, or nothing where there is none; other failures throw.
[[nodiscard]] std::optional<std::string> read_file_if_exists(const fs::path& path);

/// Writes all of `bytes` to the descriptor, through short writes and EINTR. `path` is for the message.
void write_all(int descriptor, std::string_view bytes, const fs::path& path);

/// Replaces `path` by `bytes`: written beside it, synced, renamed, its folder synced. A reader sees the old or the new
/// file, whole.
void write_file_atomically(const fs::path& path, std::string_view bytes);
/// The same without the syncs: whole for every reader, but a power failure may lose it. For what can be computed again.
void replace_file(const fs::path& path, std::string_view bytes);

/// Gives a file that is complete its name: synced, renamed, its folder synced. Throws Error where `path` cannot be had.
void publish_file(const fs::path& complete, const fs::path& path);

/// fsync of a folder, so that the names in it are durable.
void sync_folder(const fs::path& folder);
/// mkdir -p, where each new folder's parent is synced; of many folders, each parent once.
void make_durable_folders(std::span<const fs::path> folders);
void make_durable_folders(const fs::path& folder);

/// An advisory exclusive lock (flock) on a file, created if need be; held until destruction or the end of the process,
/// whichever way it ends. A child that inherits the descriptor holds it too, so it is opened close-on-exec.
class FileLock {
 public:
  /// Takes the lock, or nothing where somebody else still holds it after `patience`. A probe (is_held) holds it for
  /// microseconds, so who must not lose a lock that is his to a probe has patience.
  [[nodiscard]] static std::optional<FileLock> try_acquire(const fs::path& path,
                                                           std::chrono::milliseconds patience = {});
  /// True where the file exists and somebody holds its lock at this moment.
  [[nodiscard]] static bool is_held(const fs::path& path);
  [[nodiscard]] int descriptor() const { return file_.get(); }

 private:
  explicit FileLock(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

/// Seconds since the epoch, with microseconds.
[[nodiscard]] double now_seconds();

}  // namespace mestre
