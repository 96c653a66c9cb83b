// The manifest of a packed corpus: what `mestre data prepare` wrote, and all that planning needs to know of the data.
//
// A manifest is JSON:
// {"digest":…,"documents":…,"files":[{"bytes":…,"digest":…,"path":…,"tokens":…}],"format":1,"tokenizer":"bytes",
// "tokenizer_version":1,"tokens":…,"vocabulary":257}. Paths are relative to the manifest's folder and stay inside it.
// Tokens are little-endian uint16 without a header. The digest is the XXH3-128 of all tokens' bytes in the order of the
// files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.h"
#include "core/spec/job.h"

namespace mestre {

inline constexpr int kManifestFormat = 1;

struct PackedFile {
  std::string path;  // relative to the manifest's folder
  std::int64_t bytes = 0;
  std::int64_t tokens = 0;
  std::string digest;
};

struct Manifest {
  DataIdentity identity;
  std::int64_t tokens = 0;
  std::int64_t documents = 0;
  std::vector<PackedFile> files;
};

[[nodiscard]] std::string to_json(const Manifest& manifest);
/// Reads strictly: every member must be there, of the right type and in agreement with the others, and none may be
/// unknown. `name` is the file that messages name. Throws Error: newer_version, or data_corrupt with the member at
/// fault.
[[nodiscard]] Manifest parse_manifest(std::string_view json, const fs::path& name);
/// The same from a file; throws Error not_found where there is none. Reads nothing but the manifest itself.
[[nodiscard]] Manifest read_manifest(const fs::path& path);

}  // namespace mestre
