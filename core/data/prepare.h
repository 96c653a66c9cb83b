// Turns files of text into packed corpora: what `mestre data prepare` does.
//
// The result is a folder, <root>/<name>/, with train.manifest and train.bin, the same for `validation` where a holdout
// was asked for, and prepare.json, which says from which sources it was made. The folder is written beside its place
// and renamed when all of it is durable, so a run that is killed leaves nothing that looks finished, and what a later
// run finds of it is removed. Two runs at once are harmless. Memory is bounded by the list of documents and a few
// megabytes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/data/documents.h"
#include "core/data/manifest.h"

namespace mestre {

struct PrepareOptions {
  fs::path root;     // the data root; created where it is not there
  std::string name;  // of the result, below the root; may have slashes
  std::vector<fs::path> inputs;
  std::vector<std::string> include;  // see SourceSelection
  std::string tokenizer = "bytes";   // see open_tokenizer
  double holdout = 0;                // share of the documents that goes to the validation split, in [0, 1)
  bool force = false;                // replace other data of the same name
};

struct PrepareReport {
  bool up_to_date = false;  // nothing was written: the same command, on the same sources, had written it before
  Manifest train;
  std::optional<Manifest> validation;
  std::int64_t source_bytes = 0;       // of all documents
  std::int64_t empty = 0;              // files without a byte, left out
  std::int64_t unreadable = 0;         // files and folders that could not be read, left out
  std::int64_t with_nul = 0;           // documents that hold a zero byte, so are hardly text; packed all the same
  std::vector<SkippedSource> skipped;  // the first few unreadable ones; empty where up_to_date
};

/// Bytes of the sources that are done, and of all of them. Called about once a megabyte.
using PrepareProgress = std::function<void(std::int64_t done, std::int64_t total)>;

/// Throws Error: bad_input where an option is out of range, no document is left, a split would be empty, or other data
/// of this name are there and `force` is not set; environment where a source changes while it is read; what documents.h
/// and files.h say.
PrepareReport prepare(const PrepareOptions& options, const PrepareProgress& progress = {});

}  // namespace mestre
