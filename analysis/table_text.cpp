// A table on a terminal.
//
// Each column is laid out at its natural width; what does not fit is first won by wrapping heads, then by narrower
// gaps, then by cutting long texts, and at last the columns are dealt out to several blocks, each of which repeats the
// first.
#include <algorithm>
#include <cstdint>

#include "analysis/cells.h"
#include "core/base/diagnostics.h"
#include "core/base/utf8.h"

namespace mestre {
namespace {

constexpr int kNarrowestText = 16;  // a column of text is not cut below this

int width_of(char32_t code) {
  const auto within = [code](char32_t low, char32_t high) { return code >= low && code <= high; };
  if (within(0x300, 0x36F) || within(0x200B, 0x200F) || within(0xFE00, 0xFE0F)) return 0;
  const bool wide = within(0x1100, 0x115F) || within(0x2E80, 0xA4CF) || within(0xAC00, 0xD7A3) ||
                    within(0xF900, 0xFAFF) || within(0xFE30, 0xFE6F) || within(0xFF00, 0xFF60) ||
                    within(0xFFE0, 0xFFE6) || within(0x1F300, 0x1FAFF) || within(0x20000, 0x3FFFD);
  return wide ? 2 : 1;
}

std::string cut(const std::string& text, int width) {
  if (display_width(text) <= width) return text;
  int used = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const CodePoint next = first_code_point(std::string_view(text).substr(at));
    used += width_of(next.value);
    if (used > width - 1) break;
    at += next.length;
  }
  return text.substr(0, at) + "…";
}

std::string padded(const std::string& text, int width, bool right) {
  const std::string space(static_cast<std::size_t>(std::max(0, width - display_width(text))), ' ');
  return right ? space + text : text + space;
}

std::vector<std::string> wrapped(std::string_view text, int width) {
  std::vector<std::string> lines;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word(text.substr(at, end - at));
    at = end + 1;
    if (!lines.empty() && display_width(lines.back()) + 1 + display_width(word) <= width)
      lines.back().append(" ").append(word);
    else
      lines.push_back(word);
  }
  return lines;
}

int widest(const std::vector<std::string>& lines) {
  int width = 0;
  for (const std::string& line : lines) width = std::max(width, display_width(line));
  return width;
}

struct TextColumn {
  std::string title;
  std::string unit;
  std::vector<std::string> cells;  // of equal width where the column is right-aligned and marked
  bool right = false;
  int width = 0;
  int body = 0;  // of the widest cell
};

/// Joins the pieces of the cells so that the ± signs stand under each other and marks hang behind.
std::vector<std::string> joined(const std::vector<ShownCell>& cells) {
  int half = 0;
  int mark = 0;
  for (const ShownCell& cell : cells) {
    half = std::max(half, display_width(cell.half_width));
    mark = std::max(mark, display_width(cell.mark));
  }
  std::vector<std::string> texts;
  texts.reserve(cells.size());
  for (const ShownCell& cell : cells) {
    std::string text = escaped(cell.text);
    std::string tail;
    if (!cell.half_width.empty()) tail.append(" ± ").append(cell.half_width);
    tail += cell.mark;
    text += padded(tail, (half > 0 ? half + 3 : 0) + mark, false);
    texts.push_back(std::move(text));
  }
  return texts;
}

std::vector<TextColumn> columns_of(const Table& table) {
  std::vector<TextColumn> columns;
  columns.reserve(table.columns.size());
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    TextColumn column{.title = escaped(table.columns[i].title),
                      .unit = escaped(table.columns[i].unit),
                      .cells = joined(shown_column(table, i)),
                      .right = is_right_aligned(table, i)};
    column.body = std::max(widest(column.cells), display_width(column.unit));
    column.width = std::max(column.body, display_width(column.title));
    columns.push_back(std::move(column));
  }
  return columns;
}

int total_width(const std::vector<TextColumn>& columns, int gap) {
  int total = -gap;
  for (const TextColumn& column : columns) total += column.width + gap;
  return total;
}

/// Narrows columns until they fit, as far as they can. Returns the gap between columns.
int fit(std::vector<TextColumn>& columns, int width) {
  if (total_width(columns, 3) <= width) return 3;
  for (TextColumn& column : columns) column.width = std::max(column.body, widest(wrapped(column.title, 1)));
  if (total_width(columns, 3) <= width) return 3;
  while (total_width(columns, 2) > width) {
    TextColumn* longest = nullptr;
    for (TextColumn& column : columns)
      if (!column.right && column.width > kNarrowestText && (longest == nullptr || column.width > longest->width))
        longest = &column;
    if (longest == nullptr) break;
    --longest->width;  // one at a time, so that two long ones share the loss
  }
  return 2;
}

/// The columns of each block: all, where they fit; else the first one and as many more as go beside it.
std::vector<std::vector<std::size_t>> blocks_of(const std::vector<TextColumn>& columns, int gap, int width) {
  std::vector<std::vector<std::size_t>> blocks;
  int used = 0;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (blocks.empty() || (used + gap + columns[i].width > width && blocks.back().size() > 1)) {
      blocks.emplace_back();
      used = 0;
      if (i > 0) {
        blocks.back().push_back(0);
        used = columns[0].width;
      }
    }
    used += (blocks.back().empty() ? 0 : gap) + columns[i].width;
    blocks.back().push_back(i);
  }
  return blocks;
}

void append_line(std::string& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out.append(line).append("\n");
}

class Block {
 public:
  Block(const Table& table, std::vector<TextColumn> columns, const std::vector<std::size_t>& chosen, int gap)
      : gap_(gap) {
    for (const std::size_t index : chosen) {
      columns_.push_back(std::move(columns[index]));
      groups_.push_back(escaped(table.columns[index].group));
    }
    rows_ = table.rows.size();
    make_room_for_groups();
  }

  void append(std::string& out) const {
    append_groups(out);
    append_heads(out);
    for (std::size_t row = 0; row < rows_; ++row)
      append_cells(out, [row](const TextColumn& column) { return cut(column.cells[row], column.width); });
  }

 private:
  template <class Visit>
  void for_each_group(Visit visit) const {
    for (std::size_t first = 0; first < columns_.size();) {
      std::size_t end = first + 1;
      int width = columns_[first].width;
      while (end < columns_.size() && !groups_[first].empty() && groups_[end] == groups_[first])
        width += gap_ + columns_[end++].width;
      visit(first, end, width);
      first = end;
    }
  }

  void make_room_for_groups() {
    std::vector<int> more(columns_.size(), 0);
    for_each_group([&](std::size_t first, std::size_t end, int width) {
      const int missing = display_width(groups_[first]) - width;
      const int share = static_cast<int>(end - first);
      for (std::size_t i = first; missing > 0 && i < end; ++i) more[i] = (missing + share - 1) / share;
    });
    for (std::size_t i = 0; i < columns_.size(); ++i) columns_[i].width += more[i];
  }

  void append_groups(std::string& out) const {
    if (std::all_of(groups_.begin(), groups_.end(), [](const std::string& group) { return group.empty(); })) return;
    std::string line;
    for_each_group([&](std::size_t first, std::size_t, int width) {
      const int left = std::max(0, width - display_width(groups_[first])) / 2;
      line += padded(std::string(static_cast<std::size_t>(left), ' ') + groups_[first], width + gap_, false);
    });
    append_line(out, line);
  }

  void append_heads(std::string& out) const {
    std::vector<std::vector<std::string>> heads;
    std::size_t height = 0;
    bool any_unit = false;
    for (const TextColumn& column : columns_) {
      heads.push_back(wrapped(column.title, column.width));
      height = std::max(height, heads.back().size());
      any_unit |= !column.unit.empty();
    }
    for (std::size_t line = 0; line < height; ++line) {
      std::size_t index = 0;
      append_cells(out, [&](const TextColumn& column) {
        const auto& head = heads[index++];
        return line < head.size() ? cut(head[line], column.width) : std::string();
      });
    }
    if (any_unit) append_cells(out, [](const TextColumn& column) { return column.unit; });
  }

  template <class Text>
  void append_cells(std::string& out, Text text) const {
    std::string line;
    for (const TextColumn& column : columns_)
      line += padded(text(column), column.width, column.right) + std::string(static_cast<std::size_t>(gap_), ' ');
    append_line(out, line);
  }

  std::vector<TextColumn> columns_;
  std::vector<std::string> groups_;
  std::size_t rows_ = 0;
  int gap_;
};

void append_paragraph(std::string& out, const std::string& text, int width) {
  for (const std::string& line : wrapped(escaped(text), width)) out.append(line).append("\n");
}

}  // namespace

int display_width(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const CodePoint next = first_code_point(text);
    width += width_of(next.value);
    text.remove_prefix(next.length);
  }
  return width;
}

std::string to_text(const Table& table, int width) {
  std::string out;
  append_paragraph(out, table.caption, width);
  std::vector<TextColumn> columns = columns_of(table);
  const int gap = fit(columns, width);
  bool first = true;
  for (const auto& chosen : blocks_of(columns, gap, width)) {
    if (!first) out += "\n";
    first = false;
    Block(table, columns, chosen, gap).append(out);
  }
  for (const std::string& note : table.notes) append_paragraph(out, note, width);
  return out;
}

}  // namespace mestre
