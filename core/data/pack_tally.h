// What happened to the documents of a corpus besides being packed.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "core/data/documents.h"

namespace mestre {

struct PackTally {
  std::int64_t text_bytes = 0;    // of all documents, decompressed
  std::int64_t empty = 0;         // documents without a byte, left out
  std::int64_t unreadable = 0;    // files and folders that could not be read, left out
  std::int64_t torn = 0;          // compressed files that break off or are damaged; what comes before is packed
  std::int64_t bad_lines = 0;     // lines that are not JSON or have no text, left out
  std::int64_t with_nul = 0;      // documents that hold a zero byte, so are hardly text; packed all the same
  std::int64_t invalid_utf8 = 0;  // plain documents that are not UTF-8; packed all the same
};

/// The names under which they are kept in files; never change one.
inline constexpr std::array<std::pair<const char*, std::int64_t PackTally::*>, 7> kTallyMembers = {{
    {"text_bytes", &PackTally::text_bytes},
    {"empty", &PackTally::empty},
    {"unreadable", &PackTally::unreadable},
    {"torn", &PackTally::torn},
    {"bad_lines", &PackTally::bad_lines},
    {"with_nul", &PackTally::with_nul},
    {"invalid_utf8", &PackTally::invalid_utf8},
}};

inline void add(PackTally& sum, const PackTally& more) {
  for (const auto& [name, member] : kTallyMembers) sum.*member += more.*member;
}

inline constexpr std::size_t kMostExamples = 5;

/// Keeps the first few.
inline void add(std::vector<SkippedSource>& examples, const std::vector<SkippedSource>& more) {
  for (const SkippedSource& each : more)
    if (examples.size() < kMostExamples) examples.push_back(each);
}

}  // namespace mestre
