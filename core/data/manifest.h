// The manifest of a packed corpus or of a mixture of them: what `mestre data prepare` or `mestre data mix` wrote, and
// all that planning needs to know of the data.
//
// A corpus, in JSON:
// {"digest":…,"documents":…,"files":[{"bytes":…,"digest":…,"path":…,"tokens":…}],"format":1,"tokenizer":"bytes",
// "tokenizer_version":1,"tokens":…,"vocabulary":257}. Paths are relative to the manifest's folder and stay inside it.
// Tokens are little-endian uint16 without a header. The digest is the XXH3-128 of all tokens' bytes in the order of the
// files.
//
// A mixture holds no tokens; it says how the sequences of a training are shared out to corpora (core/data/mixture.h):
// {"components":[{"digest":…,"path":"web/train.manifest","slots":45875,"tokens":…},…],"digest":…,"documents":…,
// "format":2,"tokenizer":…,"tokenizer_version":1,"tokens":…,"vocabulary":257}. Its paths are relative to the data root.
// Components stand in the order of their digests, no digest twice, and their slots add up to 65,536. All have the
// tokenizer of the mixture; documents and tokens are their sums. The digest is the XXH3-128 of "mixture 1\n" and
// "<digest> <slots>\n" of each component: what the order of the sequences depends on, and nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.h"
#include "core/spec/job.h"

namespace mestre {

inline constexpr int kCorpusFormat = 1;
inline constexpr int kMixtureFormat = 2;
inline constexpr std::int64_t kMixtureSlots = 65'536;  // frozen

struct PackedFile {
  std::string path;  // relative to the manifest's folder
  std::int64_t bytes = 0;
  std::int64_t tokens = 0;
  std::string digest;
};

struct MixtureComponent {
  std::string path;    // of its manifest, relative to the data root
  std::string digest;  // that it had when the mixture was made, and must have still
  std::int64_t tokens = 0;
  std::int64_t slots = 0;  // its sequences in each kMixtureSlots of the mixture's
  [[nodiscard]] double share() const { return static_cast<double>(slots) / static_cast<double>(kMixtureSlots); }
};

struct Manifest {
  DataIdentity identity;
  std::int64_t tokens = 0;
  std::int64_t documents = 0;
  std::vector<PackedFile> files;             // of a corpus
  std::vector<MixtureComponent> components;  // of a mixture
  [[nodiscard]] bool is_mixture() const { return !components.empty(); }
};

/// What a mixture of these is known by.
[[nodiscard]] std::string mixture_digest(const std::vector<MixtureComponent>& components);

[[nodiscard]] std::string to_json(const Manifest& manifest);
/// Reads strictly: every member must be there, of the right type and in agreement with the others, and none may be
/// unknown. `name` is the file that messages name. Throws Error: newer_version, or data_corrupt with the member at
/// fault.
[[nodiscard]] Manifest parse_manifest(std::string_view json, const fs::path& name);
/// The same from a file; throws Error not_found where there is none. Reads nothing but the manifest itself.
[[nodiscard]] Manifest read_manifest(const fs::path& path);

}  // namespace mestre
