// Mistakes in input files, collected with their places and shown all at once.
//
// A reader registers each file's text, reports as it goes, and goes on; whoever asked for the reading looks at
// has_errors() and renders. Not thread-safe; the Diagnostics object owns the texts.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mestre {

/// A place in a registered file. Lines and columns count from 1, columns in code points; line 0 means the file as a
/// whole.
struct Position {
  int file = -1;  // index into Diagnostics' files; -1: no place at all
  int line = 0;
  int column = 0;
  int length = 1;  // code points to underline; 0: no excerpt is shown
  friend auto operator<=>(const Position&, const Position&) = default;
};

enum class Severity { kError, kWarning };

/// One mistake: lower case, no full stop; what and where in `message`, what was expected and what to do in `notes`.
struct Diagnostic {
  Severity severity = Severity::kError;
  Position where;
  std::string message;
  std::vector<std::string> notes;
  std::vector<Position> also;  // other places that belong to it ("also set here")
};

class Diagnostics {
 public:
  /// Registers a file under the name that messages shall show. Returns its index for Position::file.
  int add_file(std::string name, std::string text);
  [[nodiscard]] const std::string& file_name(int file) const { return files_[static_cast<std::size_t>(file)].name; }
  [[nodiscard]] const std::string& file_text(int file) const { return files_[static_cast<std::size_t>(file)].text; }

  /// Notes a file that decides what comes out, whether it is there or not; those of add_file count without it.
  void note_input(std::string path) { inputs_.insert(std::move(path)); }
  [[nodiscard]] const std::set<std::string>& inputs() const { return inputs_; }

  /// Reports; the same message at the same place is kept once.
  void add(Diagnostic diagnostic);
  void error(Position where, std::string message, std::vector<std::string> notes = {});
  void warning(Position where, std::string message, std::vector<std::string> notes = {});

  [[nodiscard]] bool has_errors() const { return errors_ > 0; }
  [[nodiscard]] int error_count() const { return errors_; }
  [[nodiscard]] const std::vector<Diagnostic>& all() const { return diagnostics_; }

  /// All of them in order of file, line and column, each as
  ///   FILE:LINE:COLUMN: error: MESSAGE
  ///      14 | the line
  ///         |     ^^^^
  ///      note
  /// and a closing line with the counts ("2 errors; nothing was planned"). After a hundred the rest is only counted.
  /// Control characters of the input are shown escaped.
  [[nodiscard]] std::string render() const;

 private:
  struct File {
    std::string name;
    std::string text;
  };
  std::vector<File> files_;
  std::set<std::string> inputs_;
  std::vector<Diagnostic> diagnostics_;
  std::set<std::pair<Position, std::string>> seen_;
  int errors_ = 0;
};

/// The candidate nearest to `name` by edit distance (transpositions count one), if near enough to be what was meant;
/// else empty.
[[nodiscard]] std::string nearest(std::string_view name, const std::vector<std::string>& candidates);
/// "expected one of 'a', 'b', 'c'", shortened after a dozen, and "; did you mean 'x'?" where one is near.
[[nodiscard]] std::string expected_one_of(std::string_view name, const std::vector<std::string>& candidates);
/// Control characters and invalid UTF-8 as \n, \x1b …: for names from input that stand in messages and paths.
[[nodiscard]] std::string escaped(std::string_view text);

}  // namespace mestre
