// One table as a value, and the forms it is shown in: terminal, Markdown, CSV, LaTeX, JSON.
//
// A command fills a Table and asks for a form; nothing about the form is decided where the table is filled:
//
//   Table table{.columns = {{.title = "architecture"}, {.title = "speed", .unit = "tokens/s"}, {.title = "memory",
//   .show = Show::kBytes}}}; table.add({"Samba", 21340.7, 4.1e7}); std::cout << to_text(table);
//
// For people (text, Markdown, LaTeX): numbers right-aligned, units in the head, thousands separated, whole numbers
// exact, others with at most four significant digits. For programs (CSV, JSON): numbers in their shortest exact form,
// an interval as three values. Pure functions of the value, so the same table gives the same bytes. Not a store: a
// table is held in memory whole.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mestre {

/// A mean with what is known of its error. `half_width` is NaN where there is no interval (a single value).
struct Interval {
  double mean = 0;
  double half_width = std::numeric_limits<double>::quiet_NaN();
  std::int64_t n = 0;  // values behind the mean
  friend bool operator==(const Interval&, const Interval&) = default;
};

/// One cell: nothing (shown as a dash), text, a whole number, a number, or a mean with its interval.
struct Cell {
  using Value = std::variant<std::monostate, std::string, std::int64_t, double, Interval>;

  Cell() = default;
  Cell(std::string text) : value(std::move(text)) {}
  Cell(std::string_view text) : value(std::string(text)) {}
  Cell(const char* text) : value(std::string(text)) {}
  Cell(std::integral auto number) : value(static_cast<std::int64_t>(number)) {}
  Cell(double number) : value(number) {}
  Cell(Interval interval) : value(interval) {}
  template <class T>
  Cell(const std::optional<T>& maybe) {
    if (maybe) *this = Cell(*maybe);
  }
  Cell(auto content, std::string_view footnote) : Cell(std::move(content)) { mark = footnote; }

  Value value;
  std::string mark;  // set behind the value where people read it ("*", "†"); Table::notes say what it means
};

/// How people are shown a column's numbers; programs always get the number itself.
enum class Show {
  kNumber,    // "21,340", "0.0049"
  kCount,     // "0.80M", "1.3B": parameters, tokens
  kBytes,     // "41 MB"
  kDuration,  // "5:12"; the number is in seconds
  kExact,     // as programs see it, nothing rounded or separated: seeds, years, results of queries
};

enum class Align {
  kAuto,  // right where the column holds numbers and no text
  kLeft,
  kRight,
};

struct Column {
  std::string title;
  std::string unit = {};   // "tokens/s"; empty where the numbers have none
  std::string group = {};  // a title over neighbouring columns with the same group
  std::string key = {};    // the column's name for programs; made from group, title and unit where empty
  Show show = Show::kNumber;
  Align align = Align::kAuto;
};

struct Table {
  std::string caption = {};  // a sentence or two; empty where what stands around the table says it
  std::vector<Column> columns = {};
  std::vector<std::vector<Cell>> rows = {};  // each as long as `columns`
  std::vector<std::string> notes = {};       // under the table: what marks mean, what is missing

  void add(std::vector<Cell> row) { rows.push_back(std::move(row)); }
};

/// Aligned text, lines ended. Fits `width` columns: heads wrap, then long texts are cut with an ellipsis, then the
/// columns are continued in a block below, with the first one repeated. Control characters are shown escaped.
[[nodiscard]] std::string to_text(const Table& table, int width = 100);
/// GitHub's Markdown; caption above, notes below.
[[nodiscard]] std::string to_markdown(const Table& table);
/// RFC 4180 (CRLF, quotes doubled), a head of keys, no caption or notes. An interval column becomes KEY, KEY_half_width
/// and KEY_n.
[[nodiscard]] std::string to_csv(const Table& table);
/// A LaTeX table environment that needs the package booktabs.
[[nodiscard]] std::string to_latex(const Table& table);
/// An array with one object a row, a row a line; an interval is {"half_width":…,"mean":…,"n":…}, a number that is not
/// finite a string.
[[nodiscard]] std::string to_json(const Table& table);
/// The same rows, one object a line, without the array.
[[nodiscard]] std::string to_json_lines(const Table& table);

/// One row as to_csv and to_json_lines write it, its line ended: for results that nobody wants to hold whole. No
/// intervals.
[[nodiscard]] std::string csv_row(const std::vector<Cell>& row);
[[nodiscard]] std::string json_row(const std::vector<std::string>& keys, const std::vector<Cell>& row);

/// The names that programs see, in order: unique, from `key` or made of group, title and unit ("perplexity_1024").
[[nodiscard]] std::vector<std::string> column_keys(const Table& table);

/// A number as people are shown it: at most four significant digits, thousands separated.
[[nodiscard]] std::string shown(double number);
/// "6.12 ± 0.08": the half-width with one or two significant digits, the mean to the same decimal; only the mean where
/// there is no interval.
[[nodiscard]] std::string shown(const Interval& interval);
/// Columns of a terminal that the UTF-8 text takes.
[[nodiscard]] int display_width(std::string_view text);

}  // namespace mestre
