// The one exception type for operating failures: a disk that is full, a journal that is corrupt, a program that is
// missing.
//
// Mistakes in a user's input are not exceptions but diagnostics (core/base/diagnostics.h), collected and shown
// together. An Error is caught at one place per program, which prints it and turns its code into the exit status.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mestre {

/// What went wrong, as far as a program may act on it. The names are written to journals and JSON; never rename one.
enum class ErrorCode {
  kBadInput,           // the user's arguments or files; exit 2
  kNotFound,           // a file, job, sweep or program that was named is not there; exit 2
  kEnvironment,        // something of the machine: missing program, permission, a lock held elsewhere; exit 3
  kDiskFull,           // ENOSPC or EDQUOT; exit 3
  kIo,                 // any other failed system call on a file; exit 3
  kJournalCorrupt,     // a whole journal line whose checksum or number is wrong; exit 3
  kCheckpointCorrupt,  // a checkpoint that is truncated or whose digest is wrong; exit 3
  kDataCorrupt,        // a packed data file that disagrees with its manifest; exit 3
  kNewerVersion,       // a file written by a later version of Mestre; exit 3
  kBusy,               // somebody else holds the lock; exit 3
  kBug,                // an invariant of ours does not hold; exit 4
};

/// Exit statuses of both programs (design, section 9).
enum ExitStatus : int {
  kExitOk = 0,
  kExitJobFailed = 1,
  kExitBadInput = 2,
  kExitEnvironment = 3,
  kExitBug = 4,
  kExitInterrupted = 130
};

[[nodiscard]] std::string_view name_of(ErrorCode code);
[[nodiscard]] int exit_status_of(ErrorCode code);

/// A failure with its code, one line that says what and where, and lines of context added while it travels up.
/// Messages are lower case without a full stop; what was expected and what to do go into hints.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  /// Adds an indented line below the message: what was expected, or what to do.
  Error& hint(std::string line) & {
    hints_.push_back(std::move(line));
    return *this;
  }
  Error&& hint(std::string line) && {
    hints_.push_back(std::move(line));
    return std::move(*this);
  }

  [[nodiscard]] ErrorCode code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }
  [[nodiscard]] const std::vector<std::string>& hints() const { return hints_; }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
  std::vector<std::string> hints_;
};

/// "error: message" and the hints, indented by three spaces, each line ended.
[[nodiscard]] std::string render(const Error& error);

/// An Error for a failed system call: names the call, the file and errno's text; ENOSPC and EDQUOT become kDiskFull.
[[nodiscard]] Error system_error(int error_number, std::string_view call, std::string_view path);

}  // namespace mestre
