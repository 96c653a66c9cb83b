// The folder of a corpus below the data root: what it may be called, what it may hold, and what may take its place.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/data/manifest.h"

namespace mestre {

/// Throws Error (bad_input) where `name` is no plain relative path.
void check_corpus_name(const std::string& name);
/// What is in the way must be nothing, or a folder that holds only what we write. Throws Error (bad_input) where it is
/// anything else.
void require_ours(const fs::path& target);
/// True where replacing `target` by these changes nothing for those who read it.
[[nodiscard]] bool holds_the_same(const fs::path& target, const Manifest& train,
                                  const std::optional<Manifest>& validation);
[[nodiscard]] Error other_data(const fs::path& target, std::string_view why);

}  // namespace mestre
