// Turns units of text into tokens, split by split.
#pragma once

#include <memory>
#include <string>

#include "core/data/text_unit.h"

namespace mestre {

/// Not thread-safe: one per thread. The list of sources outlives it.
class UnitEncoder {
 public:
  /// `text_key` is the member of a line that holds its text; documents whose fraction is below `holdout` go to the
  /// validation split.
  UnitEncoder(const SourceList& sources, std::unique_ptr<Tokenizer> tokenizer, std::string text_key, double holdout);
  ~UnitEncoder();
  UnitEncoder(UnitEncoder&&) noexcept;
  UnitEncoder& operator=(UnitEncoder&&) = delete;

  [[nodiscard]] EncodedUnit encode(TextUnit unit);

 private:
  struct Lines;
  [[nodiscard]] EncodedUnit::Split& split_of(EncodedUnit& out, double fraction) const;
  void encode_parts(const TextUnit& unit, EncodedUnit& out);
  void encode_lines(TextUnit& unit, EncodedUnit& out);
  void encode_line(std::string_view text, const SourceFile& source, std::int64_t number, EncodedUnit& out);

  const SourceList& sources_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::string text_key_;
  double holdout_;
  std::unique_ptr<Lines> lines_;
};

}  // namespace mestre
