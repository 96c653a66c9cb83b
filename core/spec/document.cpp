#include "core/spec/document.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "core/base/error.h"
#include "core/base/units.h"
#include "core/spec/toml_text.h"

namespace mestre {
namespace {

constexpr std::uintmax_t kLargestFile = 16U << 20;

Position position_of(const toml::source_region& region, int file) {
  Position where{
      .file = file, .line = static_cast<int>(region.begin.line), .column = static_cast<int>(region.begin.column)};
  if (region.end.line == region.begin.line)
    where.length = std::max(1, static_cast<int>(region.end.column) - where.column);
  return where;
}

TomlValue convert(const toml::node& node, int file);

void convert_table(const toml::table& table, int file, TomlValue& value) {
  for (auto&& [key, child] : table)
    value.entries.push_back({std::string(key.str()), position_of(key.source(), file), convert(child, file)});
  // The parser sorts by key; people think in the order of the file.
  std::stable_sort(value.entries.begin(), value.entries.end(),
                   [](const TomlEntry& a, const TomlEntry& b) { return a.where < b.where; });
}

TomlValue convert(const toml::node& node, int file) {
  TomlValue value;
  value.where = position_of(node.source(), file);
  if (const auto* table = node.as_table()) {
    value.kind = TomlValue::Kind::kTable;
    convert_table(*table, file, value);
  } else if (const auto* list = node.as_array()) {
    value.kind = TomlValue::Kind::kList;
    value.elements.reserve(list->size());
    for (const toml::node& element : *list) value.elements.push_back(convert(element, file));
  } else if (const auto* boolean = node.as_boolean()) {
    value.kind = TomlValue::Kind::kBool;
    value.boolean = boolean->get();
  } else if (const auto* integer = node.as_integer()) {
    value.kind = TomlValue::Kind::kInteger;
    value.integer = integer->get();
  } else if (const auto* number = node.as_floating_point()) {
    value.kind = TomlValue::Kind::kFloat;
    value.number = number->get();
  } else if (const auto* text = node.as_string()) {
    value.kind = TomlValue::Kind::kText;
    value.text = text->get();
  } else {
    value.kind = TomlValue::Kind::kDate;
  }
  return value;
}

std::string quoted_part(std::string_view description) {
  const std::size_t begin = description.find('\'');
  const std::size_t end = description.rfind('\'');
  return begin == std::string_view::npos || end <= begin ? std::string()
                                                         : escaped(description.substr(begin + 1, end - begin - 1));
}

struct Translation {
  std::string_view part;     // of the parser's description
  std::string_view message;  // {} is what the parser quotes
  std::string_view note;
};

constexpr std::array<Translation, 14> kTranslations = {{
    {"redefine existing table", "table '{}' is declared twice",
     "expected each table once; write [[{}]] for several of a kind"},
    {"redefine existing", "key '{}' is set twice", "expected each key once in a table; keep one of the two"},
    {"not representable in 64 bits", "{} is too large", "expected a whole number below 9.2e18"},
    {"could not be interpreted", "{} is not a number", "expected a number that a double can hold"},
    {"leading zeroes", "a number begins with zero", "expected no leading zeros"},
    {"expected digit, saw", "'{}' inside a number",
     "expected digits; a quantity with a unit is text, such as \"20B\" or \"36h\""},
    {"expected a comment or whitespace", "'{}' after a complete value",
     "expected the end of the line; text needs quotes, and digits are grouped by _"},
    {"could not determine value type", "this is not a value",
     "expected text in quotes, a number, true, false, or a list in brackets"},
    {"expected 'true'", "this is not a value", "expected true in lower case, or text in quotes"},
    {"expected 'false'", "this is not a value", "expected false in lower case, or text in quotes"},
    {"expected value", "a key without a value",
     "expected text in quotes, a number, true, false, or a list in brackets"},
    {"expected '='", "a key without '='", "expected key = value"},
    {"dangling comma", "a comma before the closing '}}'", "expected no comma after the last member of an inline table"},
    {"unknown escape", "unknown escape '{}' in a text",
     "expected \\n, \\t, \\\", \\\\ or \\uXXXX; or single quotes, where nothing is escaped"},
}};

// What the parser says in its own words, in ours.
void report(const toml::parse_error& problem, int file, Diagnostics& diagnostics) {
  const std::string_view description = problem.description();
  const Position where = position_of(problem.source(), file);
  const bool in_string = description.find("string") != std::string_view::npos;
  const bool at_end = description.find("end-of-file") != std::string_view::npos;
  if (description.find("control character") != std::string_view::npos && in_string)
    return diagnostics.error(where, "a text does not end on its line",
                             {"expected the closing quote; text over several lines stands in \"\"\""});
  if (at_end)
    return diagnostics.error(where, "the file ends too early",
                             {in_string ? "expected a closing quote" : "expected a closing bracket or a value"});
  if (description.find("inline table") != std::string_view::npos && description.find("'\\n'") != std::string_view::npos)
    return diagnostics.error(where, "an inline table does not end on its line",
                             {"expected it on one line; a longer one stands under its own [header]"});
  for (const Translation& known : kTranslations) {
    if (description.find(known.part) == std::string_view::npos) continue;
    const std::string quoted = quoted_part(description.substr(description.find(known.part)));
    const auto fill = [&](std::string_view text) { return fmt::format(fmt::runtime(text), quoted); };
    return diagnostics.error(where, fill(known.message), {fill(known.note)});
  }
  std::string rest(description);
  if (const std::size_t colon = rest.find(": "); colon != std::string::npos) rest.erase(0, colon + 2);
  diagnostics.error(where, "not TOML: " + escaped(rest), {"expected lines such as key = value and [section]"});
}

}  // namespace

const TomlEntry* TomlValue::find(std::string_view key) const {
  for (const TomlEntry& entry : entries)
    if (entry.key == key) return &entry;
  return nullptr;
}

std::string_view name_of(TomlValue::Kind kind) {
  switch (kind) {
    case TomlValue::Kind::kBool:
      return "true or false";
    case TomlValue::Kind::kInteger:
      return "a whole number";
    case TomlValue::Kind::kFloat:
      return "a number";
    case TomlValue::Kind::kText:
      return "text";
    case TomlValue::Kind::kDate:
      return "a date";
    case TomlValue::Kind::kList:
      return "a list";
    case TomlValue::Kind::kTable:
      return "a table";
  }
  return "a value";
}

std::string shown(const TomlValue& value) {
  constexpr std::size_t kLongest = 60;
  switch (value.kind) {
    case TomlValue::Kind::kBool:
      return value.boolean ? "true" : "false";
    case TomlValue::Kind::kInteger:
      return std::to_string(value.integer);
    case TomlValue::Kind::kFloat:
      return shortest(value.number);
    case TomlValue::Kind::kText:
      return "'" + escaped(value.text.size() > kLongest ? value.text.substr(0, kLongest) + "..." : value.text) + "'";
    case TomlValue::Kind::kDate:
    case TomlValue::Kind::kTable:
      return std::string(name_of(value.kind));
    case TomlValue::Kind::kList:
      break;
  }
  std::string text = "[";
  for (const TomlValue& element : value.elements) {
    if (text.size() > 1) text += ", ";
    if (text.size() > kLongest) {
      text += "...";
      break;
    }
    text += shown(element);
  }
  return text + "]";
}

int load_file(const fs::path& path, const std::string& name, Diagnostics& diagnostics) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is a folder", escaped(name)))
        .hint("expected a TOML file in it");
  if (fs::file_size(path, ignored) > kLargestFile && !ignored)
    throw Error(ErrorCode::kBadInput, fmt::format("'{}' is larger than 16 MiB", escaped(name)))
        .hint("expected a TOML file; is it data?");
  std::string text = read_file(path);
  return diagnostics.add_file(name, std::move(text));
}

std::optional<TomlValue> parse_toml(int file, Diagnostics& diagnostics) {
  const std::string& text = diagnostics.file_text(file);
  if (std::optional<TextProblem> problem = find_text_problem(text)) {
    problem->where.file = file;
    diagnostics.error(problem->where, problem->message, {problem->expectation});
    return std::nullopt;
  }
  try {
    return convert(toml::parse(text), file);
  } catch (const toml::parse_error& problem) {
    report(problem, file, diagnostics);
    return std::nullopt;
  }
}

}  // namespace mestre
