// Turns files of text into packed corpora: what `mestre data prepare` does.
//
// The result is a folder, <root>/<name>/, with train.manifest and train.bin, the same for `validation` where a holdout
// was asked for, the tokenizer's model file, and prepare.json, which says from which sources it was made. The folder is
// written beside its place and renamed when all of it is durable, so a run that is killed leaves nothing that looks
// finished; the same command carries on from what was durable of it, any other removes it. Two runs at once are
// harmless. Memory is bounded by the list of files and the text under way (PackPace), at most 192 MiB, with up to four
// times that for its tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/data/documents.h"
#include "core/data/manifest.h"
#include "core/data/pack_sources.h"

namespace mestre {

struct PrepareOptions {
  fs::path root;     // the data root; created where it is not there
  std::string name;  // of the result, below the root; may have slashes
  std::vector<fs::path> inputs;
  std::vector<std::string> include;  // see SourceSelection
  std::string tokenizer = "bytes";   // see open_tokenizer
  std::string text_key = "text";     // the member of a line of JSON that holds its text
  double holdout = 0;                // share of the documents that goes to the validation split, in [0, 1)
  bool force = false;                // replace other data of the same name
  PackPace pace;
};

struct PrepareReport {
  bool up_to_date = false;  // nothing was written: the same command, on the same sources, had written it before
  Manifest train;
  std::optional<Manifest> validation;
  std::int64_t source_bytes = 0;  // of all sources, on disk
  std::int64_t carried_on = 0;    // bytes of text that an earlier attempt had packed
  PackTally tally;
  std::vector<SkippedSource> skipped;  // the first few files that are unreadable or torn; empty where up_to_date
  std::vector<SkippedSource> bad;      // the first few bad lines; empty where up_to_date
};

/// Called for about each megabyte of text.
using PrepareProgress = std::function<void(const PackProgress&)>;

/// Throws Error: bad_input where an option is out of range, no document is left, a split would be empty, or other data
/// of this name are there and `force` is not set; environment where a source changes while it is read; what documents.h
/// and files.h say.
PrepareReport prepare(const PrepareOptions& options, const PrepareProgress& progress = {});

}  // namespace mestre
