// A file as memory: its pages are read when they are touched, and shared with whoever else maps it.
#pragma once

#include <cstddef>

#include "core/base/files.h"

namespace mestre {

/// Maps the whole file for as long as the object lives. Move only.
class MappedFile {
 public:
  enum class Access {
    kReadOnly,
    kPrivate,  // may be written to: what is written never reaches the file
  };

  /// Throws Error (not_found, io) where it cannot be opened or mapped.
  explicit MappedFile(fs::path path, Access access = Access::kReadOnly);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  MappedFile& operator=(MappedFile&&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }
  /// Null where the file is empty.
  [[nodiscard]] char* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  fs::path path_;
  std::size_t size_ = 0;  // bytes
  char* data_ = nullptr;
};

}  // namespace mestre
