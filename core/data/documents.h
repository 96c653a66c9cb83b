// The sources that `mestre data prepare` packs: which files, what each holds, and in what order they come.
//
// A file's name says what it holds. Plain files are documents; in NAME.jsonl each line is one, an object with a member
// of text; either may be compressed (NAME.zst). A file's key is its path below the folder that was named (a file that
// was named itself: its file name), without .zst, so that neither machine, place nor compression matters; a line's key
// is <the file's key>:<its number, from 1>. The XXH3-128 of the key decides the rest. Its upper half, as a fraction,
// puts the document into the holdout where it is below the share asked for, whatever other documents there are; the
// lower half of a file's is its place in the order, so that neighbours in the corpus are not neighbours in a folder.
// Lines stay in the order of their file, because shuffling them would need all of them at once. All this is frozen: it
// is part of what a digest stands for (kDocumentOrderVersion).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/files.h"

namespace mestre {

inline constexpr int kDocumentOrderVersion = 1;

struct SourceFile {
  fs::path file;
  std::string key;
  std::uint64_t place = 0;   // order among files
  double fraction = 0;       // of a plain file, in [0, 1): held out where below the share
  std::int64_t bytes = 0;    // on disk
  std::int64_t changed = 0;  // ns since the epoch: the later of the file's times of modification and of status change
  bool has_lines = false;    // JSON Lines: each line is a document
  bool is_compressed = false;
};

/// A file or folder that could not be used, or a line of one, and why.
struct SkippedSource {
  std::string path;
  std::string reason;
};

struct SourceList {
  std::vector<SourceFile> files;  // in order; none is empty
  std::int64_t bytes = 0;         // on disk, of all of them
  std::int64_t empty = 0;         // files without a byte, left out
  std::vector<SkippedSource> skipped;
};

struct SourceSelection {
  std::vector<fs::path> inputs;      // files, or folders that are walked
  std::vector<std::string> include;  // globs; empty: all. With a '/' matched against the path below the folder (where *
                                     // also crosses '/'), else the file name
  fs::path leave_out;                // a folder that is not walked: the data root, which may lie inside an input
};

/// Lists the sources. In folders, symbolic links are not followed, and names that begin with a dot are passed over;
/// what cannot be read is skipped and listed. Memory is proportional to the number of files, not to their size.
/// Throws Error: not_found where an input does not exist; bad_input where an input is no file or folder, or lies inside
/// another.
[[nodiscard]] SourceList list_sources(const SourceSelection& selection);

/// Sets key, place, fraction and what the file holds, by its path below what was named.
void place_source(SourceFile& source, std::string_view path);
/// Where a document with this key stands in [0, 1).
[[nodiscard]] double fraction_of(std::string_view key);

}  // namespace mestre
