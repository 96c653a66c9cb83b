// From cells to what people read: shared by the forms of a table, used by nobody else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analysis/table.h"

namespace mestre {

/// A cell as people read it, in pieces, so that each form can join and align them. Text is not escaped yet.
struct ShownCell {
  std::string text;        // the number or the text; of an interval the mean
  std::string half_width;  // of an interval that has one, else empty
  std::string mark;
  bool is_text = false;
};

/// The cells of one column. The numbers of a column are given the same number of decimals, as far as four significant
/// digits allow.
[[nodiscard]] std::vector<ShownCell> shown_column(const Table& table, std::size_t column);
[[nodiscard]] bool is_right_aligned(const Table& table, std::size_t column);

/// Columns [first, first + count) that share a group; columns without one come as runs of empty name.
struct GroupRun {
  std::string name;
  std::size_t first = 0;
  std::size_t count = 0;
};
[[nodiscard]] std::vector<GroupRun> group_runs(const Table& table);

/// "speed (tokens/s)".
[[nodiscard]] std::string title_with_unit(const Column& column);

/// Text that Markdown shows as it is, in one line and inside a table.
[[nodiscard]] std::string markdown_text(std::string_view text);

inline constexpr std::string_view kMissing = "–";

}  // namespace mestre
