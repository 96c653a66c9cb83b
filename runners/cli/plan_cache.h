// What a command printed, kept so that unchanged inputs need no second planning.
//
// An entry is found by a question (arguments, folders, the program itself) and holds the state of every file that
// decided the answer: text files by their contents, the store by its files' sizes and times. It answers only where all
// of them are as they were, and is never trusted when damaged. It holds nothing that planning would not bring back, so
// it may be deleted at any time.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "core/base/files.h"

namespace mestre {

/// What went to the two streams of a command that succeeded.
struct Printed {
  std::string out;
  std::string err;
};

/// Files that decide an answer, there or not.
struct PlanInputs {
  std::set<std::string> texts;   // known by their contents
  std::set<std::string> stores;  // known by size and time
};

class PlanCache {
 public:
  /// Entries lie in `folder`, which need not exist. `question` says all that decides the answer and is no file.
  PlanCache(fs::path folder, std::string_view question);

  [[nodiscard]] std::optional<Printed> find() const;
  /// Keeps an answer that was worked out since `began` (seconds since the epoch) from these files. Does nothing where
  /// one of them changed meanwhile, where it is very long, or where the folder cannot be written: a cache is no reason
  /// to fail.
  void keep(const Printed& printed, const PlanInputs& inputs, double began) const;

 private:
  [[nodiscard]] fs::path file() const { return folder_ / question_; }
  fs::path folder_;
  std::string question_;  // its digest
};

}  // namespace mestre
