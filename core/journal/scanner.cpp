#include "core/journal/scanner.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/hash.h"

namespace mestre {
namespace {

constexpr std::size_t kReadBytes = 1 << 18;
constexpr std::string_view kSeqStart = "{\"seq\":";
constexpr std::string_view kCrcStart = ",\"crc\":";

template <class T>
bool parse_whole(std::string_view text, T& value) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string check_line(std::string_view line, JournalCursor& cursor) {
  const std::size_t crc_at = line.rfind(kCrcStart);
  const std::size_t seq_end = line.find(',');
  if (!line.starts_with(kSeqStart) || !line.ends_with('}') || crc_at == std::string_view::npos ||
      seq_end == std::string_view::npos)
    return "is not a journal line";
  std::int64_t seq = 0;
  std::uint32_t crc = 0;
  const std::size_t crc_digits = crc_at + kCrcStart.size();
  if (!parse_whole(line.substr(kSeqStart.size(), seq_end - kSeqStart.size()), seq) ||
      !parse_whole(line.substr(crc_digits, line.size() - 1 - crc_digits), crc))
    return "is not a journal line";
  if (seq != cursor.seq + 1) return fmt::format("has number {}, expected {}", seq, cursor.seq + 1);
  const std::uint32_t expected = crc32(line.substr(0, crc_at), cursor.crc);
  if (crc != expected) return fmt::format("has checksum {}, expected {}", crc, expected);
  cursor = {.offset = cursor.offset + static_cast<std::int64_t>(line.size()) + 1, .seq = seq, .crc = crc};
  return {};
}

JournalScanner::JournalScanner(fs::path path, JournalCursor cursor) : path_(std::move(path)), cursor_(cursor) {
  file_ = FileDescriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file_.is_open() && errno != ENOENT) throw system_error(errno, "open journal", path_.native());
  std::int64_t size = 0;
  if (file_.is_open()) {
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) throw system_error(errno, "read", path_.native());
    size = status.st_size;
  }
  if (size < cursor.offset) {
    throw Error(ErrorCode::kJournalCorrupt, fmt::format("journal '{}' has {} bytes, but {} were read from it before",
                                                        path_.native(), size, cursor.offset))
        .hint(
            "a journal is only ever appended to; where it cannot be restored, the next attempt computes again what it "
            "held");
  }
  if (file_.is_open() && ::lseek(file_.get(), cursor.offset, SEEK_SET) < 0)
    throw system_error(errno, "seek in", path_.native());
}

bool JournalScanner::fill() {
  if (!file_.is_open()) return false;
  buffer_.erase(0, consumed_);
  consumed_ = 0;
  const std::size_t size = buffer_.size();
  buffer_.resize(size + kReadBytes);
  ssize_t count = 0;
  do {
    count = ::read(file_.get(), buffer_.data() + size, kReadBytes);
  } while (count < 0 && errno == EINTR);
  buffer_.resize(size + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  if (count < 0) throw system_error(errno, "read", path_.native());
  return count > 0;
}

std::optional<std::string_view> JournalScanner::next() {
  if (!corrupt_.empty()) return std::nullopt;
  std::size_t searched = consumed_;
  for (;;) {
    const std::size_t newline = buffer_.find('\n', searched);
    if (newline != std::string::npos) {
      const std::string_view line(buffer_.data() + consumed_, newline - consumed_);
      const std::string problem = check_line(line, cursor_);
      if (!problem.empty()) {
        corrupt_ = fmt::format("line {} at byte {} {}", cursor_.seq + 1, cursor_.offset, problem);
        return std::nullopt;
      }
      consumed_ = newline + 1;
      return line;
    }
    const std::size_t pending = buffer_.size() - consumed_;
    if (!fill()) return std::nullopt;
    searched = pending;
  }
}

Ending ending_of(const fs::path& journal) {
  JournalScanner scanner(journal, {});
  std::string last;
  while (const auto line = scanner.next()) last = *line;
  // The type stands third in every line, behind two numbers, so the first hit is the type and not some text inside the
  // line.
  const std::size_t at = last.find("\"type\":\"");
  if (at == std::string::npos || !scanner.corrupt().empty()) return Ending::kNone;
  const std::string_view type = std::string_view(last).substr(at + 8);
  if (type.starts_with("finished\"")) return Ending::kFinished;
  return type.starts_with("failed\"") ? Ending::kFailed : Ending::kNone;
}

}  // namespace mestre
