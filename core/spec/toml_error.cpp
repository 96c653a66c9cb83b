#include "core/spec/toml_error.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace mestre {
namespace {

struct Translation {
  std::string_view part;     // of the parser's description
  std::string_view message;  // {} is what the parser quotes
  std::string_view note;
};

// The first that fits is taken.
constexpr std::array<Translation, 15> kTranslations = {{
    {"as table", "[{}] beside [[{}]]", "expected [[{}]] again: several of a kind stand in double brackets"},
    {"redefine existing table", "table '{}' is declared twice", "expected each table once; put their keys together"},
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
    {"dangling comma", "a comma before the closing '}'", "expected no comma after the last member of an inline table"},
    {"unknown escape", "unknown escape '{}' in a text",
     "expected \\n, \\t, \\\", \\\\ or \\uXXXX; or single quotes, where nothing is escaped"},
}};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The template with each {} replaced by the word.
std::string filled(std::string_view text, const std::string& word) {
  std::string out(text);
  for (std::size_t at = out.find("{}"); at != std::string::npos; at = out.find("{}", at + word.size()))
    out.replace(at, 2, word);
  return out;
}

// What stands between the first and the last single quote.
std::string quoted_part(std::string_view description) {
  const std::size_t begin = description.find('\'');
  const std::size_t end = description.rfind('\'');
  return begin == std::string_view::npos || end <= begin ? std::string()
                                                         : std::string(description.substr(begin + 1, end - begin - 1));
}

// The lines of the text up to and with line `last`.
std::vector<std::string_view> lines_until(std::string_view text, int last) {
  std::vector<std::string_view> lines;
  while (static_cast<int>(lines.size()) < last) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

// Where `key` is set on this line; column 0 where it is not.
int column_of_key(std::string_view line, std::string_view key) {
  const std::size_t at = line.find_first_not_of(" \t");
  if (at == std::string_view::npos || !line.substr(at).starts_with(key)) return 0;
  const std::size_t next = line.find_first_not_of(" \t", at + key.size());
  return next != std::string_view::npos && (line[next] == '=' || line[next] == '.') ? static_cast<int>(at) + 1 : 0;
}

// The parser points behind the second key; people want to see both.
void report_duplicate_key(const std::string& key, Position where, Diagnostics& diagnostics) {
  const std::vector<std::string_view> lines = lines_until(diagnostics.file_text(where.file), where.line);
  Diagnostic diagnostic{.severity = Severity::kError,
                        .where = where,
                        .message = fmt::format("key '{}' is set twice", escaped(key)),
                        .notes = {"expected each key once in a table; keep one of the two"},
                        .also = {}};
  const int length = static_cast<int>(key.size());
  if (const int column = lines.empty() ? 0 : column_of_key(lines.back(), key); column > 0)
    diagnostic.where = {where.file, where.line, column, length};
  for (int line = where.line - 1; line > 0; --line) {
    const std::string_view text = lines[static_cast<std::size_t>(line - 1)];
    if (const int column = column_of_key(text, key); column > 0) {
      diagnostic.also.push_back({where.file, line, column, length});
      break;
    }
    if (text.starts_with('[')) break;  // another table's keys
  }
  diagnostics.add(std::move(diagnostic));
}

bool is_behind_line(Position where, const Diagnostics& diagnostics) {
  const std::vector<std::string_view> lines = lines_until(diagnostics.file_text(where.file), where.line);
  return where.line > static_cast<int>(lines.size()) || where.column > static_cast<int>(lines.back().size());
}

}  // namespace

void report_syntax_error(std::string_view description, Position where, Diagnostics& diagnostics) {
  const bool in_text = contains(description, "string");
  if (contains(description, "control character") && in_text) {
    if (is_behind_line(where, diagnostics))
      return diagnostics.error(where, "a text does not end on its line",
                               {"expected the closing quote; text over several lines stands in \"\"\""});
    return diagnostics.error(where, "a control character in a text",
                             {"expected \\n, \\t or \\uXXXX for it, in double quotes"});
  }
  if (contains(description, "end-of-file"))
    return diagnostics.error(where, "the file ends too early",
                             {in_text ? "expected a closing quote" : "expected a closing bracket or a value"});
  if (contains(description, "inline table") && contains(description, "'\\n'"))
    return diagnostics.error(where, "an inline table does not end on its line",
                             {"expected it on one line; a longer one stands under its own [header]"});
  const std::string quoted = quoted_part(description);
  if (contains(description, "key-value pair: cannot redefine existing") && !quoted.empty())
    return report_duplicate_key(quoted, where, diagnostics);
  for (const Translation& known : kTranslations) {
    if (!contains(description, known.part)) continue;
    const auto fill = [&](std::string_view text) { return filled(text, escaped(quoted)); };
    return diagnostics.error(where, fill(known.message), {fill(known.note)});
  }
  std::string rest(description);
  if (const std::size_t colon = rest.find(": "); colon != std::string::npos) rest.erase(0, colon + 2);
  diagnostics.error(where, "not TOML: " + escaped(rest), {"expected lines such as key = value and [section]"});
}

}  // namespace mestre
