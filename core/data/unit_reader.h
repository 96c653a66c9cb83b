// Cuts the sources into units, in order.
//
// The list and the tokenizer, which says where documents may be cut, outlive it. One thread. Holds half a megabyte of
// text, or one line.
#pragma once

#include <optional>
#include <string>

#include "core/data/text_stream.h"
#include "core/data/text_unit.h"

namespace mestre {

/// Longer lines are left out: a line is parsed as a whole.
inline constexpr std::size_t kLongestLine = std::size_t{32} << 20;

class UnitReader {
 public:
  UnitReader(const SourceList& sources, const Tokenizer& tokenizer, const ReadPosition& from);
  /// The next unit, or nothing where all is read. A unit may be without text where it has something to tell. Throws
  /// what TextStream throws.
  [[nodiscard]] std::optional<TextUnit> next();

 private:
  [[nodiscard]] const SourceFile& source() const { return sources_.files[static_cast<std::size_t>(at_.file)]; }
  void open_source();
  void close_source(TextUnit& unit);
  void fill(std::size_t size);
  void read_part(TextUnit& unit);
  void read_lines(TextUnit& unit);
  void drop_line(TextUnit& unit);
  void take(std::size_t size, std::string& out);

  const SourceList& sources_;
  const Tokenizer& tokenizer_;
  ReadPosition at_;
  std::optional<TextStream> stream_;
  std::string rest_;             // text that was read and belongs to no unit yet
  bool is_at_end_ = false;       // of the file: the rest is all there is
  std::int64_t done_bytes_ = 0;  // of the files before, on disk
};

}  // namespace mestre
