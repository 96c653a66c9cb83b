#include "core/spec/document.h"

#include <algorithm>

#include <fmt/format.h>
// The parser asserts what a damaged file can break ("[[[a]]"); without assertions it reports it.
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>

#include "core/base/error.h"
#include "core/base/units.h"
#include "core/spec/toml_error.h"
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

// Names the file beside it that may have been meant.
Error missing_file(const fs::path& path, const std::string& name) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::vector<std::string> names;
  std::error_code problem;
  for (fs::directory_iterator it(folder, problem), end; !problem && it != end; it.increment(problem))
    if (it->path().extension() == ".toml") names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  Error error(ErrorCode::kNotFound, fmt::format("no file '{}'", escaped(name)));
  const std::string near = nearest(path.filename().string(), names);
  return error.hint(near.empty() ? "expected a TOML file"
                                 : fmt::format("did you mean '{}'?", escaped((path.parent_path() / near).string())));
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
      return fmt::format("'{}{}'", escaped(std::string_view(value.text).substr(0, kLongest)),
                         value.text.size() > kLongest ? "..." : "");
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
  if (!fs::exists(path, ignored)) throw missing_file(path, name);
  std::string text = read_file(path);
  diagnostics.note_input(path.native());
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
    report_syntax_error(problem.description(), position_of(problem.source(), file), diagnostics);
    return std::nullopt;
  }
}

}  // namespace mestre
