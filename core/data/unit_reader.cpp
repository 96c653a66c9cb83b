#include "core/data/unit_reader.h"

#include <simdjson.h>

#include <algorithm>

#include <fmt/format.h>

namespace mestre {
namespace {

constexpr std::size_t kUnitBytes = std::size_t{1} << 20;

}  // namespace

UnitReader::UnitReader(const SourceList& sources, const Tokenizer& tokenizer, const ReadPosition& from)
    : sources_(sources), tokenizer_(tokenizer), at_(from) {
  for (std::int64_t i = 0; i < at_.file; ++i) done_bytes_ += sources_.files[static_cast<std::size_t>(i)].bytes;
}

std::optional<TextUnit> UnitReader::next() {
  TextUnit unit;
  const ReadPosition from = at_;
  const auto count = static_cast<std::int64_t>(sources_.files.size());
  while (at_.file < count && unit.text.size() < kUnitBytes) {
    if (source().has_lines && !unit.parts.empty()) break;
    if (!stream_) open_source();
    const bool has_lines = source().has_lines;
    if (has_lines)
      read_lines(unit);
    else
      read_part(unit);
    if (is_at_end_ && rest_.empty()) close_source(unit);
    if (has_lines) break;
  }
  if (at_ == from) return std::nullopt;
  unit.next = at_;
  unit.source_bytes = done_bytes_ + (stream_ ? stream_->position() : 0);
  return unit;
}

void UnitReader::open_source() {
  stream_.emplace(source());
  is_at_end_ = false;
  if (at_.offset > 0) stream_->skip(at_.offset);
}

// Moves on to the next file, and tells what was wrong with this one.
void UnitReader::close_source(TextUnit& unit) {
  if (stream_->problem() != TextStream::Problem::kNone) {
    unit.skipped.push_back({source().file.native(), stream_->reason()});
    ++(stream_->problem() == TextStream::Problem::kTorn ? unit.tally.torn : unit.tally.unreadable);
  } else if (at_.offset == 0) {
    ++unit.tally.empty;
  }
  done_bytes_ += source().bytes;
  stream_.reset();
  at_ = {.file = at_.file + 1};
}

void UnitReader::fill(std::size_t size) {
  if (rest_.size() < size && !is_at_end_) is_at_end_ = !stream_->read(size - rest_.size(), rest_);
}

void UnitReader::take(std::size_t size, std::string& out) {
  out.append(rest_, 0, size);
  rest_.erase(0, size);
  at_.offset += static_cast<std::int64_t>(size);
}

void UnitReader::read_part(TextUnit& unit) {
  while (rest_.size() <= kPieceBytes && !is_at_end_) fill(2 * kPieceBytes);
  if (rest_.empty()) return;
  const std::size_t size = piece_of(tokenizer_, rest_);
  const std::string_view text = std::string_view(rest_).substr(0, size);
  const bool ends = size == rest_.size();
  unit.parts.push_back({.file = at_.file, .size = size, .begins = at_.offset == 0, .ends = ends});
  unit.tally.text_bytes += static_cast<std::int64_t>(size);
  at_.has_nul = at_.has_nul || text.find('\0') != std::string_view::npos;
  at_.is_invalid = at_.is_invalid || !simdjson::validate_utf8(text.data(), text.size());
  if (ends) {
    unit.tally.with_nul += at_.has_nul ? 1 : 0;
    unit.tally.invalid_utf8 += at_.is_invalid ? 1 : 0;
  }
  take(size, unit.text);
}

void UnitReader::read_lines(TextUnit& unit) {
  unit.file = at_.file;
  unit.first_line = at_.lines + 1;
  std::size_t end = 0;
  for (std::size_t size = kUnitBytes; end == 0; size *= 2) {
    const std::size_t known = rest_.size();
    fill(std::min(size, kLongestLine + 1));
    if (const std::size_t newline = rest_.rfind('\n'); newline != std::string::npos)
      end = newline + 1;
    else if (rest_.size() > kLongestLine)
      return drop_line(unit);
    else if (is_at_end_ && rest_.size() == known)
      end = rest_.size();
    if (is_at_end_ && rest_.empty()) return;
  }
  const std::string_view text = std::string_view(rest_).substr(0, end);
  const auto newlines = std::count(text.begin(), text.end(), '\n');
  at_.lines += newlines + (text.back() == '\n' ? 0 : 1);
  unit.text.reserve(end + simdjson::SIMDJSON_PADDING);
  take(end, unit.text);
}

void UnitReader::drop_line(TextUnit& unit) {
  std::string dropped;
  for (bool is_over = false; !is_over; dropped.clear()) {
    const std::size_t newline = rest_.find('\n');
    is_over = newline != std::string::npos;
    take(is_over ? newline + 1 : rest_.size(), dropped);
    if (!is_over) fill(kUnitBytes);
    is_over = is_over || (is_at_end_ && rest_.empty());
  }
  ++at_.lines;
  ++unit.tally.bad_lines;
  unit.bad.push_back(
      {fmt::format("{}:{}", source().file.native(), at_.lines), fmt::format("longer than {} MiB", kLongestLine >> 20)});
}

}  // namespace mestre
