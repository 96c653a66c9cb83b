#include "core/base/error.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace mestre {

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput:
      return "bad_input";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kEnvironment:
      return "environment";
    case ErrorCode::kDiskFull:
      return "disk_full";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kJournalCorrupt:
      return "journal_corrupt";
    case ErrorCode::kCheckpointCorrupt:
      return "checkpoint_corrupt";
    case ErrorCode::kDataCorrupt:
      return "data_corrupt";
    case ErrorCode::kNewerVersion:
      return "newer_version";
    case ErrorCode::kBusy:
      return "busy";
    case ErrorCode::kBug:
      return "bug";
  }
  return "bug";
}

int exit_status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput:
    case ErrorCode::kNotFound:
      return kExitBadInput;
    case ErrorCode::kBug:
      return kExitBug;
    default:
      return kExitEnvironment;
  }
}

std::string render(const Error& error) {
  std::string text = "error: " + error.message() + "\n";
  for (const std::string& line : error.hints()) text += "   " + line + "\n";
  return text;
}

Error system_error(int error_number, std::string_view call, std::string_view path) {
  if (error_number == ENOSPC || error_number == EDQUOT) {
    return Error(ErrorCode::kDiskFull, fmt::format("no space left to write '{}'", path))
        .hint("free some space, then run the same command again: nothing acknowledged was lost");
  }
  const ErrorCode code = error_number == ENOENT ? ErrorCode::kNotFound
                         : error_number == EACCES || error_number == EPERM || error_number == EROFS
                             ? ErrorCode::kEnvironment
                             : ErrorCode::kIo;
  return Error(code, fmt::format("cannot {} '{}': {}", call, path, std::strerror(error_number)));
}

}  // namespace mestre
