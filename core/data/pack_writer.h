// Writes one packed corpus: NAME.bin as the tokens come, and NAME.manifest when it is complete.
//
// Not thread-safe. A writer that is not finished leaves a .bin without a manifest, which nothing takes for a corpus,
// but from which a later writer can carry on.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/base/files.h"
#include "core/base/hash.h"
#include "core/data/manifest.h"
#include "core/data/tokenizer.h"

namespace mestre {

/// What of a corpus is written.
struct PackState {
  std::int64_t tokens = 0;
  std::int64_t documents = 0;
  std::string digest;  // of the tokens' bytes
};

class PackWriter {
 public:
  /// Creates `folder`/`name`.bin.
  PackWriter(const fs::path& folder, std::string name);
  /// Opens it, takes away what was written after `state`, and carries on. Throws Error (data_corrupt) where the file
  /// does not hold what `state` says.
  PackWriter(const fs::path& folder, std::string name, const PackState& state);

  void write(std::span<const Token> tokens, std::int64_t documents);
  [[nodiscard]] std::int64_t documents() const { return documents_; }
  /// Makes durable what was written, and says what that is.
  PackState sync();

  /// Syncs, then writes the manifest, which it returns. `tokenizer` is what the tokenizer says of itself. Throws Error
  /// (bug) where there is no token.
  Manifest finish(const DataIdentity& tokenizer);

 private:
  fs::path folder_;
  std::string name_;
  fs::path path_;
  FileDescriptor file_;
  Digester digester_;
  std::int64_t tokens_ = 0;
  std::int64_t documents_ = 0;
};

}  // namespace mestre
