// Reads a journal's bytes line by line and trusts a line only when its number and checksum continue the chain.
//
// A torn tail is normal: the line is not there yet. A whole line that does not fit stops the scan for good (the caller
// retries from the same cursor, and quarantines the rest once the attempt is over). Lines are handed out unparsed. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/files.h"

namespace mestre {

/// Where a reader stands: all before `offset` was read, and it ended in line `seq` with checksum `crc`.
struct JournalCursor {
  std::int64_t offset = 0;  // bytes
  std::int64_t seq = 0;
  std::uint32_t crc = 0;
  friend bool operator==(const JournalCursor&, const JournalCursor&) = default;
};

/// Splits one whole line (without its newline) into seq and crc and checks them against the cursor. Returns what is
/// wrong, or empty.
[[nodiscard]] std::string check_line(std::string_view line, JournalCursor& cursor);

class JournalScanner {
 public:
  /// Opens the journal to go on behind `cursor`. A missing file reads as an empty one.
  /// Throws Error (journal_corrupt) where the file is shorter than the cursor.
  JournalScanner(fs::path path, JournalCursor cursor);

  /// The next good line without its newline, valid until the next call; nothing at the end, at a torn tail, or where
  /// corrupt() says why.
  [[nodiscard]] std::optional<std::string_view> next();
  /// Behind the last line that next() returned.
  [[nodiscard]] const JournalCursor& cursor() const { return cursor_; }
  /// What is wrong with the first whole line behind the cursor; empty while nothing is.
  [[nodiscard]] const std::string& corrupt() const { return corrupt_; }

 private:
  bool fill();

  fs::path path_;
  FileDescriptor file_;
  JournalCursor cursor_;
  std::string buffer_;
  std::size_t consumed_ = 0;  // bytes of buffer_ that were handed out
  std::string corrupt_;
};

/// How the journal of an attempt ends, as far as it can be trusted.
enum class Ending { kNone, kFinished, kFailed };
[[nodiscard]] Ending ending_of(const fs::path& journal);

}  // namespace mestre
