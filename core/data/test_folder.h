// For tests: an empty folder that is gone when the test is over.
#pragma once

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "core/base/files.h"

namespace mestre {

class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (fs::temp_directory_path() / "mestre-test-XXXXXX").native();
    if (::mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "cannot make a folder like " << pattern;
    path_ = pattern;
  }
  ~TestFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }
  /// Writes a file, with its folders.
  void write(const fs::path& name, std::string_view bytes) const {
    fs::create_directories((path_ / name).parent_path());
    replace_file(path_ / name, bytes);
  }

 private:
  fs::path path_;
};

}  // namespace mestre
