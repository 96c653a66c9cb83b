// A table for documents (Markdown, LaTeX) and for programs (CSV, JSON).
#include <cctype>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "analysis/cells.h"
#include "core/base/options.h"
#include "core/base/units.h"

namespace mestre {
namespace {

using Escape = std::string (*)(std::string_view);

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) >= 0x80;
}

std::string_view latex_character(char c) {
  switch (c) {
    case '\\':
      return "\\textbackslash{}";
    case '~':
      return "\\textasciitilde{}";
    case '^':
      return "\\textasciicircum{}";
    case '<':
      return "\\textless{}";
    case '>':
      return "\\textgreater{}";
    case '|':
      return "\\textbar{}";
    case '&':
      return "\\&";
    case '%':
      return "\\%";
    case '$':
      return "\\$";
    case '#':
      return "\\#";
    case '_':
      return "\\_";
    case '{':
      return "\\{";
    case '}':
      return "\\}";
    case '\n':
      return " ";
    default:
      return {};
  }
}

std::string latex_text(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kSymbols[] = {
      {"±", "$\\pm$"}, {"–", "--"},   {"×", "$\\times$"}, {"†", "\\dag{}"}, {"‡", "\\ddag{}"}, {"…", "\\ldots{}"},
      {"⁰", "$^0$"},   {"¹", "$^1$"}, {"²", "$^2$"},      {"³", "$^3$"},    {"⁴", "$^4$"},     {"⁵", "$^5$"},
      {"⁶", "$^6$"},   {"⁷", "$^7$"}, {"⁸", "$^8$"},      {"⁹", "$^9$"}};
  std::string out;
  while (!text.empty()) {
    std::size_t length = 1;
    std::string_view replacement = latex_character(text.front());
    for (const auto& [symbol, command] : kSymbols) {
      if (!text.starts_with(symbol)) continue;
      replacement = command;
      length = symbol.size();
    }
    if (!replacement.empty())
      out += replacement;
    else if (static_cast<unsigned char>(text.front()) >= 0x20)
      out += text.front();
    text.remove_prefix(length);
  }
  return out;
}

/// The cells of a table as one form writes them, row by row.
std::vector<std::vector<std::string>> written_rows(const Table& table, Escape escape, std::string_view plus_minus,
                                                   std::string_view before_mark, std::string_view after_mark) {
  std::vector<std::vector<std::string>> rows(table.rows.size());
  for (std::size_t column = 0; column < table.columns.size(); ++column) {
    const std::vector<ShownCell> cells = shown_column(table, column);
    for (std::size_t row = 0; row < cells.size(); ++row) {
      std::string text = escape(cells[row].text);
      if (!cells[row].half_width.empty()) text += fmt::format("{}{}", plus_minus, cells[row].half_width);
      if (!cells[row].mark.empty()) text += fmt::format("{}{}{}", before_mark, escape(cells[row].mark), after_mark);
      rows[row].push_back(std::move(text));
    }
  }
  return rows;
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) out += (i > 0 ? std::string(separator) : "") + parts[i];
  return out;
}

std::string slug(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (is_word(c))
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (c == '/')
      out += "_per_";
    else if (!out.empty() && out.back() != '_')
      out += '_';
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  return out.empty() ? "column" : out;
}

void append_csv_field(std::string& out, std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

bool is_interval_column(const Table& table, std::size_t column) {
  for (const auto& row : table.rows)
    if (std::holds_alternative<Interval>(row[column].value)) return true;
  return false;
}

std::string csv_number(double number) {
  return std::isnan(number) ? "nan" : shortest(number);
}

std::string json_number(double number) {
  return std::isfinite(number) ? shortest(number) : json_string(csv_number(number));
}

struct JsonValue {
  std::string operator()(std::monostate) const { return "null"; }
  std::string operator()(const std::string& text) const { return json_string(text); }
  std::string operator()(std::int64_t number) const { return std::to_string(number); }
  std::string operator()(double number) const { return json_number(number); }
  std::string operator()(const Interval& interval) const {
    const std::string half = std::isnan(interval.half_width) ? "null" : json_number(interval.half_width);
    return fmt::format(R"({{"half_width":{},"mean":{},"n":{}}})", half, json_number(interval.mean), interval.n);
  }
};

void append_json_row(std::string& out, const std::vector<std::string>& quoted_keys, const std::vector<Cell>& row) {
  out += '{';
  for (std::size_t i = 0; i < row.size(); ++i)
    out += fmt::format("{}{}:{}", i > 0 ? "," : "", quoted_keys[i], std::visit(JsonValue(), row[i].value));
  out += '}';
}

/// Of an interval the mean; the rest of it stands in columns of its own.
void append_csv_value(std::string& out, const Cell::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value))
    append_csv_field(out, *text);
  else if (const auto* whole = std::get_if<std::int64_t>(&value))
    out += std::to_string(*whole);
  else if (const auto* number = std::get_if<double>(&value))
    out += csv_number(*number);
  else if (const auto* interval = std::get_if<Interval>(&value))
    out += csv_number(interval->mean);
}

std::vector<std::string> quoted_keys(const Table& table) {
  std::vector<std::string> keys = column_keys(table);
  for (std::string& key : keys) key = json_string(key);
  return keys;
}

std::string latex_groups(const Table& table) {
  std::vector<std::string> heads;
  std::string rules;
  bool any = false;
  for (const GroupRun& run : group_runs(table)) {
    if (run.name.empty()) {
      heads.insert(heads.end(), run.count, "");
      continue;
    }
    any = true;
    heads.push_back(fmt::format("\\multicolumn{{{}}}{{c}}{{{}}}", run.count, latex_text(run.name)));
    rules += fmt::format("\\cmidrule(lr){{{}-{}}}", run.first + 1, run.first + run.count);
  }
  return any ? joined(heads, " & ") + " \\\\\n" + rules + "\n" : "";
}

}  // namespace

std::string markdown_text(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    // An underscore within a word means nothing to Markdown; left alone it stays readable.
    const bool inside = i > 0 && i + 1 < text.size() && is_word(text[i - 1]) && is_word(text[i + 1]);
    if (c == '\n')
      out += "<br>";
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (std::string_view("\\`*[]|~").find(c) != std::string_view::npos || (c == '_' && !inside))
      out += {'\\', c};
    else if (static_cast<unsigned char>(c) >= 0x20)
      out += c;
  }
  return out;
}

std::vector<std::string> column_keys(const Table& table) {
  std::vector<std::string> keys;
  std::set<std::string> taken;
  for (const Column& column : table.columns) {
    std::string key = column.key;
    if (key.empty()) {
      key = slug(column.title);
      if (!column.group.empty()) key = fmt::format("{}_{}", slug(column.group), key);
      if (!column.unit.empty()) key = fmt::format("{}_{}", key, slug(column.unit));
    }
    std::string unique = key;
    for (int i = 2; !taken.insert(unique).second; ++i) unique = fmt::format("{}_{}", key, i);
    keys.push_back(std::move(unique));
  }
  return keys;
}

std::string to_markdown(const Table& table) {
  std::string out = table.caption.empty() ? "" : markdown_text(table.caption) + "\n\n";
  std::string rule = "|";
  out += "|";
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const Column& column = table.columns[i];
    out += fmt::format(" {}{}{} |", markdown_text(column.group), column.group.empty() ? "" : " ",
                       markdown_text(title_with_unit(column)));
    rule += is_right_aligned(table, i) ? " ---: |" : " --- |";
  }
  out += fmt::format("\n{}\n", rule);
  for (const auto& row : written_rows(table, markdown_text, " ± ", "", ""))
    out += fmt::format("| {} |\n", joined(row, " | "));
  for (const std::string& note : table.notes) out += fmt::format("\n{}\n", markdown_text(note));
  return out;
}

std::string to_latex(const Table& table) {
  std::string out = "% needs \\usepackage{booktabs}\n\\begin{table}\n\\centering\n";
  if (!table.caption.empty()) out += fmt::format("\\caption{{{}}}\n", latex_text(table.caption));
  std::string alignment;
  std::vector<std::string> heads;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    alignment += is_right_aligned(table, i) ? 'r' : 'l';
    heads.push_back(latex_text(title_with_unit(table.columns[i])));
  }
  out += fmt::format("\\begin{{tabular}}{{{}}}\n\\toprule\n{}{} \\\\\n\\midrule\n", alignment, latex_groups(table),
                     joined(heads, " & "));
  for (const auto& row : written_rows(table, latex_text, " $\\pm$ ", "\\textsuperscript{", "}"))
    out += joined(row, " & ") + " \\\\\n";
  out += "\\bottomrule\n\\end{tabular}\n";
  for (const std::string& note : table.notes)
    out += fmt::format("\n\\smallskip{{\\footnotesize {}}}\n", latex_text(note));
  return out + "\\end{table}\n";
}

std::string to_csv(const Table& table) {
  std::string out;
  const std::vector<std::string> keys = column_keys(table);
  std::vector<bool> intervals;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    intervals.push_back(is_interval_column(table, i));
    if (i > 0) out += ',';
    append_csv_field(out, keys[i]);
    for (const std::string_view part : {"_half_width", "_n"}) {
      if (!intervals[i]) break;
      out += ',';
      append_csv_field(out, keys[i] + std::string(part));
    }
  }
  out += "\r\n";
  for (const auto& row : table.rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) out += ',';
      append_csv_value(out, row[i].value);
      const auto* interval = std::get_if<Interval>(&row[i].value);
      if (!intervals[i]) continue;
      if (interval == nullptr)
        out += ",,";
      else
        out += fmt::format(",{},{}", std::isnan(interval->half_width) ? "" : csv_number(interval->half_width),
                           interval->n);
    }
    out += "\r\n";
  }
  return out;
}

std::string csv_row(const std::vector<Cell>& row) {
  std::string out;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) out += ',';
    append_csv_value(out, row[i].value);
  }
  return out.append("\r\n");
}

std::string json_row(const std::vector<std::string>& keys, const std::vector<Cell>& row) {
  std::vector<std::string> quoted;
  for (const std::string& key : keys) quoted.push_back(json_string(key));
  std::string out;
  append_json_row(out, quoted, row);
  return out.append("\n");
}

std::string to_json(const Table& table) {
  const std::vector<std::string> keys = quoted_keys(table);
  std::string out = "[";
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    out += i > 0 ? ",\n " : "";
    append_json_row(out, keys, table.rows[i]);
  }
  return out + "]\n";
}

std::string to_json_lines(const Table& table) {
  const std::vector<std::string> keys = quoted_keys(table);
  std::string out;
  for (const auto& row : table.rows) {
    append_json_row(out, keys, row);
    out += '\n';
  }
  return out;
}

}  // namespace mestre
