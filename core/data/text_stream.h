// The text of a source file as a stream, decompressed where need be.
//
// Owns the open file. Not thread-safe. A compressed file is read with at most 128 MiB for its window, zstd's own limit.
#pragma once

#include <memory>
#include <string>

#include "core/data/documents.h"

namespace mestre {

class TextStream {
 public:
  /// Opens the file; where that or the first reading fails, problem() says why and there is no text.
  explicit TextStream(const SourceFile& source);
  ~TextStream();
  TextStream(TextStream&&) noexcept;
  TextStream& operator=(TextStream&&) noexcept;

  /// Appends about `size` bytes of text to `out`; false where there are no more, be it at the end or for a problem.
  /// Throws Error: io; environment where the file is not as long as it was when it was listed.
  bool read(std::size_t size, std::string& out);
  /// Passes over `size` bytes of text.
  void skip(std::int64_t size);
  /// Bytes of the file that were read.
  [[nodiscard]] std::int64_t position() const;

  enum class Problem { kNone, kUnreadable, kTorn };
  [[nodiscard]] Problem problem() const;
  [[nodiscard]] const std::string& reason() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mestre
