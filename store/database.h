// The store's file: one SQLite database in WAL mode, its version, and who may open it.
//
// Opening for writing creates or migrates the file; there is one writer (the holder of the coordinator's lock), and any
// number of readers. A Database belongs to one thread. No exception of SQLite leaves this room: everything is thrown as
// Error.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace SQLite {  // NOLINT(readability-identifier-naming): the library's
class Database;
}

namespace mestre {

namespace fs = std::filesystem;

inline constexpr int kSchemaVersion = 1;

class Database {
 public:
  /// Opens the file to read and write, creating it where there is none, and migrates an older version.
  /// What a committed transaction wrote survives a power failure.
  /// Throws Error: newer_version (nothing is changed), bad_input where the file is not Mestre's, environment on a
  /// network file system, disk_full, io.
  [[nodiscard]] static Database open_for_writing(const fs::path& path);
  /// Opens an existing file to read. Throws Error: not_found (also where its creation was cut off, or is not over yet),
  /// newer_version, bad_input, io.
  [[nodiscard]] static Database open_for_reading(const fs::path& path);

  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  [[nodiscard]] const fs::path& path() const { return path_; }
  /// For the files of this room only.
  [[nodiscard]] SQLite::Database& connection() { return *connection_; }

 private:
  Database(fs::path path, std::unique_ptr<SQLite::Database> connection);

  fs::path path_;
  std::unique_ptr<SQLite::Database> connection_;
};

/// The name of the network file system with this magic number (statfs), on which WAL's shared memory does not work;
/// empty where it is none.
[[nodiscard]] std::string_view network_file_system(long magic);

/// The text of schema.sql.
[[nodiscard]] std::string_view schema_sql();

}  // namespace mestre
