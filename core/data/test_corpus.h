// For tests and benchmarks: corpora without a text to pack.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/base/files.h"
#include "core/base/hash.h"
#include "core/data/manifest.h"

namespace mestre {

/// Writes the tokens as the corpus of this manifest, in a file beside it that is called like it. Returns the manifest.
inline Manifest write_corpus(const fs::path& path, std::span<const std::uint16_t> tokens,
                             std::int64_t vocabulary = 257) {
  const std::string_view bytes(reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes());
  const fs::path file = fs::path(path).replace_extension(".bin");
  fs::create_directories(path.parent_path());
  replace_file(file, bytes);
  Manifest manifest;
  manifest.identity = {
      .digest = xxh3_128(bytes), .tokenizer = "bytes", .tokenizer_version = 1, .vocabulary = vocabulary};
  manifest.tokens = static_cast<std::int64_t>(tokens.size());
  manifest.documents = 1;
  manifest.files = {{.path = file.filename(),
                     .bytes = static_cast<std::int64_t>(bytes.size()),
                     .tokens = manifest.tokens,
                     .digest = manifest.identity.digest}};
  replace_file(path, to_json(manifest));
  return manifest;
}

}  // namespace mestre
