// The units in which a corpus is packed: about a megabyte of text each, encoded by any thread, written in order.
//
// Which text is in which unit is decided by the sources alone, never by the threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/data/pack_tally.h"
#include "core/data/tokenizer.h"

namespace mestre {

/// Up to where the sources have been read: what a run that was killed carries on from.
struct ReadPosition {
  std::int64_t file = 0;    // index in the list of sources
  std::int64_t offset = 0;  // bytes of its text
  std::int64_t lines = 0;   // of its text that were read
  bool has_nul = false;     // the document that is half read holds a zero byte
  bool is_invalid = false;  // … or is no UTF-8
  friend bool operator==(const ReadPosition&, const ReadPosition&) = default;
};

struct TextUnit {
  /// A part of a plain document; parts stand in `text` one behind the other.
  struct Part {
    std::int64_t file = 0;
    std::size_t size = 0;
    bool begins = false, ends = false;
  };
  std::string text;
  std::vector<Part> parts;      // empty: whole lines of one file
  std::int64_t file = 0;        // … which is this one
  std::int64_t first_line = 1;  // … with this number

  ReadPosition next;              // behind this unit
  std::int64_t source_bytes = 0;  // bytes on disk up to there
  PackTally tally;
  std::vector<SkippedSource> skipped;  // unreadable or torn files
  std::vector<SkippedSource> bad;      // lines
};

/// The unit without its text.
struct EncodedUnit {
  struct Split {
    std::vector<Token> tokens;
    std::int64_t documents = 0;
  };
  Split train, validation;
  ReadPosition next;
  std::int64_t source_bytes = 0;
  PackTally tally;
  std::vector<SkippedSource> skipped, bad;
};

}  // namespace mestre
