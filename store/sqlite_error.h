// The border between SQLite's exceptions and ours. For the sources of this room only.
#pragma once

#include <filesystem>
#include <utility>

#include <SQLiteCpp/Exception.h>

#include "core/base/error.h"

namespace mestre {

/// What a failure of SQLite on the store at `path` means to who uses it.
[[nodiscard]] Error store_error(const SQLite::Exception& failure, const std::filesystem::path& path);

/// Runs `body` and throws its SQLite failures as Error.
template <class Body>
auto guarded(const std::filesystem::path& path, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const SQLite::Exception& failure) {
    throw store_error(failure, path);
  }
}

}  // namespace mestre
