#include "core/spec/toml_text.h"

#include <fmt/format.h>

#include "core/base/units.h"
#include "core/base/utf8.h"

namespace mestre {
namespace {

// Walks over the text once. Strings and comments are skipped; a chain of words joined by dots is a key (or a number,
// which has one dot).
class Scanner {
  static constexpr char32_t kByteOrderMark = 0xFEFF;

 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<TextProblem> run() {
    while (!text_.empty() && !problem_) {
      if (text_.front() == '"' || text_.front() == '\'') report_quote_in_word();
      if (text_.starts_with("\"\"\"") || text_.starts_with("'''")) {
        skip_string(text_.substr(0, 3));
      } else if (text_.front() == '"' || text_.front() == '\'') {
        begin_word();
        skip_string(text_.substr(0, 1));
      } else if (text_.front() == '#') {
        while (!text_.empty() && text_.front() != '\n' && !problem_) advance();
      } else {
        step();
      }
    }
    end_chain();
    return problem_;
  }

 private:
  void step() {
    const char c = text_.front();
    if (foreign()) report_foreign();
    const bool word =
        (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-';
    if (word) {
      if (!in_word_) begin_word();
      in_word_ = true;
    } else if (c == '.') {
      in_word_ = false;
      after_dot_ = true;
    } else if (c == ' ' || c == '\t') {
      in_word_ = false;
    } else {
      end_chain();
      if (c == '[' || c == '{') open_bracket();
      if ((c == ']' || c == '}') && depth_ > 0) --depth_;
    }
    advance();
  }

  // TOML has none outside strings and comments, and toml++ 3.3 reaches what it believes unreachable for some of them.
  void report_foreign() {
    const auto [code_point, length] = first_code_point(text_);
    const bool byte_order_mark = code_point == kByteOrderMark && where_.line == 1 && where_.column == 1;
    if (byte_order_mark || code_point == kInvalidUtf8) return;  // the parser's to skip; advance() tells of the other
    report(where_, fmt::format("'{}' outside a string", escaped(text_.substr(0, length))),
           "expected ASCII here; text in other letters stands in quotes");
  }

  // No TOML: and toml++ 3.3 reads on to the next blank, over letters that report_foreign() keeps from it elsewhere.
  void report_quote_in_word() {
    constexpr std::string_view kBeforeText = " \t\r\n=,.[{";
    if (before_ != 0 && before_ != kByteOrderMark && kBeforeText.find(static_cast<char>(before_)) == std::string::npos)
      report(where_, "a quote in the middle of a word", "expected a blank, '=' or ',' before text in quotes");
  }

  // After a backslash. The same letters again: toml++ asks of them whether they are blanks.
  void skip_escaped(bool several_lines) {
    const bool joins_lines = several_lines && blank();
    if (!joins_lines) {
      if (foreign())
        report(where_, "a backslash before a letter beyond ASCII", "expected \\\\ for a backslash in a text");
      advance();
      return;
    }
    while (blank() && !problem_) advance();
    if (foreign())
      report(where_, "a letter beyond ASCII where a backslash joins two lines", "expected the two lines as one");
  }

  [[nodiscard]] bool blank() const {
    return !text_.empty() && std::string_view(" \t\r\n").find(text_.front()) != std::string::npos;
  }
  [[nodiscard]] bool foreign() const { return !text_.empty() && static_cast<unsigned char>(text_.front()) >= 0x80; }

  void begin_word() {
    if (!after_dot_) {
      end_chain();
      chain_start_ = where_;
    }
    after_dot_ = false;
    ++parts_;
  }

  void end_chain() {
    if (parts_ > kMaxNesting) {
      report(chain_start_, fmt::format("a key of {} parts", with_thousands(parts_)),
             fmt::format("expected at most {} parts between dots", kMaxNesting));
    }
    parts_ = 0;
    in_word_ = after_dot_ = false;
  }

  void open_bracket() {
    if (++depth_ > kMaxNesting)
      report(where_, "brackets nested too deep",
             fmt::format("expected at most {} inside one another; is one not closed?", kMaxNesting));
  }

  void skip_string(std::string_view quote) {
    in_word_ = false;
    const bool several_lines = quote.size() == 3;
    const bool escapes = quote.front() == '"';
    for (std::size_t i = 0; i < quote.size(); ++i) advance();
    while (!text_.empty() && !problem_) {
      if (text_.starts_with(quote)) {
        for (std::size_t i = 0; i < quote.size(); ++i) advance();
        return;
      }
      if (text_.front() == '\n' && !several_lines) return;  // the parser reports it
      const bool escape = escapes && text_.front() == '\\';
      advance();
      if (escape && !text_.empty()) skip_escaped(several_lines);
    }
  }

  void advance() {
    const auto [code_point, length] = first_code_point(text_);
    if (code_point == kInvalidUtf8) {
      report(where_, fmt::format("byte 0x{:02x} is not UTF-8", static_cast<unsigned char>(text_.front())),
             "expected a file saved as UTF-8");
    }
    if (code_point == 0) report(where_, "byte 0x00 in a text", "expected TOML; is this file of another kind?");
    text_.remove_prefix(length);
    before_ = code_point;
    ++where_.column;
    if (code_point == '\n') {
      ++where_.line;
      where_.column = 1;
    }
  }

  void report(Position where, std::string message, std::string expectation) {
    if (!problem_) problem_ = TextProblem{where, std::move(message), std::move(expectation)};
  }

  std::string_view text_;
  Position where_ = {.file = -1, .line = 1, .column = 1};
  char32_t before_ = 0;  // the character before text_
  Position chain_start_;
  std::int64_t parts_ = 0;
  bool in_word_ = false;
  bool after_dot_ = false;
  int depth_ = 0;
  std::optional<TextProblem> problem_;
};

}  // namespace

std::optional<TextProblem> find_text_problem(std::string_view text) {
  return Scanner(text).run();
}

}  // namespace mestre
