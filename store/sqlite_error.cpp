#include "store/sqlite_error.h"

#include <fmt/format.h>
#include <sqlite3.h>

namespace mestre {

Error store_error(const SQLite::Exception& failure, const std::filesystem::path& path) {
  const std::string& file = path.native();
  // The log's shared index could not grow: ENOSPC, which SQLite tells apart only for its other files.
  const bool no_space = failure.getExtendedErrorCode() == SQLITE_IOERR_SHMSIZE;
  switch (no_space ? SQLITE_FULL : failure.getErrorCode()) {
    case SQLITE_FULL:
      return Error(ErrorCode::kDiskFull, fmt::format("the disk is full: cannot write the store '{}'", file))
          .hint("nothing that was acknowledged is lost; free some space and run the same command again");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Error(ErrorCode::kBusy, fmt::format("the store '{}' is locked by another program", file))
          .hint("wait until it is done, or find it with 'fuser'");
    case SQLITE_NOTADB:
      return Error(ErrorCode::kBadInput, fmt::format("'{}' is not a store of Mestre (it is no SQLite file)", file))
          .hint("name another file with --db, or move this one away");
    case SQLITE_CORRUPT:
      return Error(ErrorCode::kIo, fmt::format("the store '{}' is damaged: {}", file, failure.what()))
          .hint(
              "move it away with its -wal and -shm: 'mestre run FILE' finds in the workspace's folders what was done");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      return Error(ErrorCode::kEnvironment, fmt::format("cannot open the store '{}': {}", file, failure.what()))
          .hint("check the permissions of the file and of its folder");
    default:
      return Error(ErrorCode::kIo, fmt::format("the store '{}' failed: {}", file, failure.what()));
  }
}

}  // namespace mestre
