// The documents that `mestre data prepare` packs: which files, to which split each goes, and in what order.
//
// Every file is a document. Its key is its path below the folder that was named (a file that was named itself: its file
// name), so that neither machine nor place matters. The XXH3-128 of the key decides the rest: its upper half, as a
// fraction, puts the document into the holdout where it is below the share asked for, whatever other documents there
// are; its lower half is the document's place in the order, so that neighbours in the corpus are not neighbours in a
// folder. All this is frozen: it is part of what a digest stands for (kDocumentOrderVersion).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/files.h"

namespace mestre {

inline constexpr int kDocumentOrderVersion = 1;

struct Document {
  fs::path file;
  std::string key;
  std::uint64_t place = 0;  // order among documents
  double fraction = 0;      // in [0, 1): held out where below the share
  std::int64_t bytes = 0;
  std::int64_t changed = 0;  // ns since the epoch: the later of the file's times of modification and of status change
};

/// A file or folder that could not be used, and why.
struct SkippedSource {
  std::string path;
  std::string reason;
};

struct DocumentList {
  std::vector<Document> documents;  // in order; none is empty
  std::int64_t bytes = 0;           // of all of them
  std::int64_t empty = 0;           // files without a byte, left out
  std::vector<SkippedSource> skipped;
};

struct SourceSelection {
  std::vector<fs::path> inputs;  // files, or folders that are walked
  std::vector<std::string>
      include;  // globs; empty: all. With a '/' matched against the key (where * also crosses '/'), else the file name
  fs::path leave_out;  // a folder that is not walked: the data root, which may lie inside an input
};

/// Lists the documents. In folders, symbolic links are not followed, and names that begin with a dot are passed over;
/// what cannot be read is skipped and listed. Memory is proportional to the number of documents, not to their size.
/// Throws Error: not_found where an input does not exist; bad_input where an input is no file or folder, or lies inside
/// another.
[[nodiscard]] DocumentList list_documents(const SourceSelection& selection);

/// Sets key, place and fraction.
void place_document(Document& document, std::string key);

}  // namespace mestre
