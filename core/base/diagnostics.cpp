#include "core/base/diagnostics.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "core/base/utf8.h"

namespace mestre {
namespace {

constexpr int kExcerptWidth = 96;        // of the terminal; a longer line is cut around the place
constexpr std::size_t kMostShown = 100;  // a file of another kind has an error on every line

// What stands for one code point of the input in a message: itself, or an escape where it would move the cursor or
// hide.
std::string shown(std::string_view bytes, char32_t code_point) {
  if (code_point == kInvalidUtf8) return fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes.front()));
  switch (code_point) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  if (code_point < 0x20 || code_point == 0x7F) return fmt::format("\\x{:02x}", static_cast<unsigned>(code_point));
  const bool invisible = (code_point >= 0x80 && code_point < 0xA0) || (code_point >= 0x200B && code_point <= 0x200F) ||
                         (code_point >= 0x2028 && code_point <= 0x202E) ||
                         (code_point >= 0x2060 && code_point <= 0x2069) || code_point == 0xFEFF;
  if (invisible) return fmt::format("\\u{{{:x}}}", static_cast<std::uint32_t>(code_point));
  return std::string(bytes);
}

struct Cell {
  std::string text;
  int width = 1;  // on the terminal; wide characters are counted as one
};

std::vector<Cell> cells_of_line(std::string_view line) {
  std::vector<Cell> cells;
  while (!line.empty()) {
    const auto [code_point, length] = first_code_point(line);
    const std::string_view bytes = line.substr(0, length);
    std::string text = code_point == '\t' ? " " : shown(bytes, code_point);
    const int width = text.size() > bytes.size() || code_point < 0x80 ? static_cast<int>(text.size()) : 1;
    cells.push_back({std::move(text), width});
    line.remove_prefix(length);
  }
  return cells;
}

// Lines of one text, found once however many diagnostics stand in it.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {
    for (std::size_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n') starts_.push_back(i + 1);
  }
  [[nodiscard]] std::string_view line(int number) const {
    const auto index = static_cast<std::size_t>(number - 1);
    if (number < 1 || index >= starts_.size()) return {};
    const std::size_t end = index + 1 < starts_.size() ? starts_[index + 1] - 1 : text_.size();
    std::string_view line = text_.substr(starts_[index], end - starts_[index]);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }

 private:
  std::string_view text_;
  std::vector<std::size_t> starts_ = {0};
};

std::string excerpt(std::string_view line, const Position& where) {
  const std::vector<Cell> cells = cells_of_line(line);
  const auto count = static_cast<int>(cells.size());
  const int begin = std::clamp(where.column - 1, 0, count);
  const int end = std::clamp(begin + std::max(where.length, 1), begin, std::max(count, begin));
  // A window around the place: it grows to both sides, less to the left, while it fits. Most lines fit whole.
  int first = begin;
  int last = begin;
  const auto width_at = [&](int i) { return cells[static_cast<std::size_t>(i)].width; };
  for (int width = 0; first > 0 && width + width_at(first - 1) <= kExcerptWidth / 3;) width += width_at(--first);
  int width = 0;
  for (int i = first; i < begin; ++i) width += width_at(i);
  while (last < count && width + width_at(last) <= kExcerptWidth) width += width_at(last++);
  while (first > 0 && width + width_at(first - 1) <= kExcerptWidth) width += width_at(--first);
  std::string text = first > 0 ? "..." : "";
  int offset = first > 0 ? 3 : 0;
  int underline = 0;
  for (int i = first; i < last; ++i) {
    const Cell& cell = cells[static_cast<std::size_t>(i)];
    text += cell.text;
    if (i < begin) offset += cell.width;
    if (i >= begin && i < end) underline += cell.width;
  }
  if (last < count) text += "...";
  const std::string number = std::to_string(where.line);
  return fmt::format("{:>5} | {}\n      | {}{}\n", number, text, std::string(static_cast<std::size_t>(offset), ' '),
                     std::string(static_cast<std::size_t>(std::max(underline, 1)), '^'));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(previous.begin(), previous.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(previous);
    previous.swap(row);
  }
  return previous[b.size()];
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string counted(std::size_t number, std::string_view noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

}  // namespace

int Diagnostics::add_file(std::string name, std::string text) {
  files_.push_back({std::move(name), std::move(text)});
  return static_cast<int>(files_.size()) - 1;
}

void Diagnostics::add(Diagnostic diagnostic) {
  if (!seen_.emplace(diagnostic.where, diagnostic.message).second) return;
  if (diagnostic.severity == Severity::kError) ++errors_;
  diagnostics_.push_back(std::move(diagnostic));
}

void Diagnostics::error(Position where, std::string message, std::vector<std::string> notes) {
  add({.severity = Severity::kError,
       .where = where,
       .message = std::move(message),
       .notes = std::move(notes),
       .also = {}});
}

void Diagnostics::warning(Position where, std::string message, std::vector<std::string> notes) {
  add({.severity = Severity::kWarning,
       .where = where,
       .message = std::move(message),
       .notes = std::move(notes),
       .also = {}});
}

std::string Diagnostics::render() const {
  std::map<int, Lines> lines;
  const auto place = [&](const Position& where) {
    if (where.file < 0) return std::string();
    const std::string name = escaped(file_name(where.file));
    return where.line < 1 ? name + ": " : fmt::format("{}:{}:{}: ", name, where.line, where.column);
  };
  const auto quote = [&](const Position& where) {
    if (where.file < 0 || where.line < 1 || where.length < 1) return std::string();
    const auto found = lines.try_emplace(where.file, file_text(where.file)).first;
    return excerpt(found->second.line(where.line), where);
  };

  std::vector<const Diagnostic*> sorted;
  for (const Diagnostic& diagnostic : diagnostics_) sorted.push_back(&diagnostic);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
    const Position& left = a->where;
    const Position& right = b->where;
    return std::tie(left.file, left.line, left.column) < std::tie(right.file, right.line, right.column);
  });

  std::string text;
  const std::size_t shown_count = std::min(sorted.size(), kMostShown);
  for (const Diagnostic* diagnostic : std::span(sorted).first(shown_count)) {
    const bool is_error = diagnostic->severity == Severity::kError;
    text += fmt::format("{}{}: {}\n{}", place(diagnostic->where), is_error ? "error" : "warning", diagnostic->message,
                        quote(diagnostic->where));
    for (const Position& also : diagnostic->also) text += fmt::format("{}also here\n{}", place(also), quote(also));
    for (const std::string& note : diagnostic->notes) text += "   " + note + "\n";
  }
  const auto errors = static_cast<std::size_t>(errors_);
  const std::size_t warnings = diagnostics_.size() - errors;
  if (errors > 0) text += counted(errors, "error");
  if (warnings > 0) text += (errors > 0 ? ", " : "") + counted(warnings, "warning");
  if (shown_count < sorted.size()) text += fmt::format(", the first {} shown", shown_count);
  if (errors > 0) text += "; nothing was planned";
  if (!diagnostics_.empty()) text += "\n";
  return text;
}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongestName = 80;
  if (name.empty() || name.size() > kLongestName) return {};
  const std::string wanted = lower(name);
  std::size_t best = std::min(std::max<std::size_t>(1, name.size() / 3) + 1, name.size());
  const std::string* found = nullptr;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongestName) continue;
    const std::size_t distance = edit_distance(wanted, lower(candidate));
    if (distance < best) {
      best = distance;
      found = &candidate;
    }
  }
  if (found != nullptr) return *found;
  // "length" for "sequence_length": a part of exactly one name is near too.
  constexpr std::size_t kShortestPart = 4;
  for (const std::string& candidate : candidates) {
    const std::string known = lower(candidate);
    if (std::min(wanted.size(), known.size()) < kShortestPart) continue;
    if (known.find(wanted) == std::string::npos && wanted.find(known) == std::string::npos) continue;
    if (found != nullptr) return {};
    found = &candidate;
  }
  return found != nullptr ? *found : std::string();
}

std::string expected_one_of(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr std::size_t kShown = 12;
  std::string text = candidates.size() == 1 ? "expected " : "expected one of ";
  for (std::size_t i = 0; i < std::min(kShown, candidates.size()); ++i)
    text += fmt::format("{}'{}'", i > 0 ? ", " : "", escaped(candidates[i]));
  if (candidates.size() > kShown) text += fmt::format(" and {} more", candidates.size() - kShown);
  const std::string near = nearest(name, candidates);
  if (!near.empty() && candidates.size() > 1) text += fmt::format("; did you mean '{}'?", escaped(near));
  return text;
}

std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto [code_point, length] = first_code_point(text);
    out += shown(text.substr(0, length), code_point);
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace mestre
