// Numbered notes under a table: the same text gets the same number wherever it is said.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "analysis/table.h"

namespace mestre {

class Footnotes {
 public:
  /// "²": what stands behind the cell that the text is about.
  [[nodiscard]] std::string mark(const std::string& text);
  /// Appends "² text" to the table's notes in the order of the numbers, at most `most` of them; where there are more,
  /// a line that says how many, and `where` they can be read ("--json has them all").
  void write(Table& table, std::size_t most, const std::string& where) const;

 private:
  std::vector<std::string> texts_;
};

}  // namespace mestre
