#include "core/base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <thread>
#include <utility>

#include "core/base/error.h"

namespace mestre {
namespace {

constexpr mode_t kFileMode = 0644;

FileDescriptor open_or_throw(const fs::path& path, int flags, std::string_view call) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, kFileMode);
  if (descriptor < 0) throw system_error(errno, call, path.native());
  return FileDescriptor(descriptor);
}

std::string read_all(const FileDescriptor& file, const fs::path& path) {
  struct stat status {};
  std::string bytes;
  if (::fstat(file.get(), &status) == 0 && status.st_size > 0) bytes.reserve(static_cast<std::size_t>(status.st_size));
  char buffer[1 << 16];
  for (;;) {
    const ssize_t count = ::read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw system_error(errno, "read", path.native());
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(count));
  }
}

void replace(const fs::path& path, std::string_view bytes, bool durable) {
  // The process id keeps two writers of one path from sharing a temporary file; the last rename wins, whole.
  const fs::path temporary = path.native() + ".tmp" + std::to_string(::getpid());
  try {
    FileDescriptor file = open_or_throw(temporary, O_WRONLY | O_CREAT | O_TRUNC, "create");
    write_all(file.get(), bytes, temporary);
    if (durable && ::fsync(file.get()) != 0) throw system_error(errno, "sync", temporary.native());
    file.close();
    if (::rename(temporary.c_str(), path.c_str()) != 0) throw system_error(errno, "rename to", path.native());
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  if (durable) sync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

// mkdir -p; `changed` collects the folders that have a new name in them.
void make_folder(const fs::path& folder, std::set<fs::path>& changed) {
  if (folder.empty() || fs::is_directory(folder)) return;
  const fs::path parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  make_folder(parent, changed);
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
    throw system_error(errno, "create folder", folder.native());
  changed.insert(parent);
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    descriptor_ = other.release();
  }
  return *this;
}

int FileDescriptor::release() {
  return std::exchange(descriptor_, -1);
}

void FileDescriptor::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

std::string read_file(const fs::path& path) {
  return read_all(open_or_throw(path, O_RDONLY, "open"), path);
}

std::optional<std::string> read_file_if_exists(const fs::path& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.is_open()) return read_all(file, path);
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw system_error(errno, "open", path.native());
}

void write_all(int descriptor, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw system_error(errno, "write", path.native());
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  replace(path, bytes, true);
}
void replace_file(const fs::path& path, std::string_view bytes) {
  replace(path, bytes, false);
}

void publish_file(const fs::path& complete, const fs::path& path) {
  const FileDescriptor file = open_or_throw(complete, O_RDONLY, "open");
  if (::fsync(file.get()) != 0) throw system_error(errno, "sync", complete.native());
  if (::rename(complete.c_str(), path.c_str()) != 0) throw system_error(errno, "rename to", path.native());
  sync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

void sync_folder(const fs::path& folder) {
  const FileDescriptor file = open_or_throw(folder, O_RDONLY | O_DIRECTORY, "open folder");
  if (::fsync(file.get()) != 0) throw system_error(errno, "sync folder", folder.native());
}

void make_durable_folders(std::span<const fs::path> folders) {
  std::set<fs::path> changed;
  for (const fs::path& folder : folders) make_folder(folder, changed);
  for (const fs::path& parent : changed) sync_folder(parent);
}

void make_durable_folders(const fs::path& folder) {
  make_durable_folders({&folder, 1});
}

std::optional<FileLock> FileLock::try_acquire(const fs::path& path, std::chrono::milliseconds patience) {
  FileDescriptor file = open_or_throw(path, O_RDWR | O_CREAT, "open lock");
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) throw system_error(errno, "lock", path.native());
    if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return FileLock(std::move(file));
}

bool FileLock::is_held(const fs::path& path) {
  // A shared probe: two probes do not see each other as holders.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR) return false;
    throw system_error(errno, "open lock", path.native());
  }
  return ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

double now_seconds() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count()) * 1e-6;
}

}  // namespace mestre
