#include "core/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "core/base/error.h"

namespace mestre {

MappedFile::MappedFile(fs::path path, Access access) : path_(std::move(path)) {
  const FileDescriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) throw system_error(errno, "open", path_.native());
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw system_error(errno, "look at", path_.native());
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  const bool writable = access == Access::kPrivate;
  void* address = ::mmap(nullptr, size_, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                         writable ? MAP_PRIVATE : MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) throw system_error(errno, "map", path_.native());
  data_ = static_cast<char*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), size_(other.size_), data_(std::exchange(other.data_, nullptr)) {}

}  // namespace mestre
