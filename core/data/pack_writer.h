// Writes one packed corpus: NAME.bin as the tokens come, and NAME.manifest when it is complete.
//
// Holds a megabyte or so of tokens at a time. Not thread-safe. A writer that is not finished leaves a .bin without a
// manifest, which nothing takes for a corpus.
#pragma once

#include <string>
#include <vector>

#include "core/base/files.h"
#include "core/base/hash.h"
#include "core/data/manifest.h"
#include "core/data/tokenizer.h"

namespace mestre {

class PackWriter {
 public:
  /// Creates `folder`/`name`.bin.
  PackWriter(const fs::path& folder, std::string name);

  /// Where a document's tokens are appended by the tokenizer; call flush_if_full() between pieces and document_ended()
  /// behind each document.
  [[nodiscard]] std::vector<Token>& buffer() { return buffer_; }
  void flush_if_full();
  void document_ended() { ++documents_; }
  [[nodiscard]] std::int64_t documents() const { return documents_; }

  /// Writes and syncs what is left, then the manifest, which it returns. `tokenizer` is what the tokenizer says of
  /// itself. Throws Error (bug) where there was no document.
  Manifest finish(const DataIdentity& tokenizer);

 private:
  void flush();

  fs::path folder_;
  std::string name_;
  fs::path path_;
  FileDescriptor file_;
  std::vector<Token> buffer_;
  Digester digester_;
  std::int64_t tokens_ = 0;
  std::int64_t documents_ = 0;
};

}  // namespace mestre
