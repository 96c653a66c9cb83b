// Asks other programs short questions ("gnuplot --version"), all at once, and never waits longer than it was told.
//
// For `mestre doctor`: programs that hang (a driver that does not answer, a network file system that is away) are part
// of what it is for.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace mestre {

struct Question {
  std::vector<std::string> command;  // the program is looked up in PATH unless it has a slash
  std::chrono::milliseconds limit{3000};
};

struct Answer {
  enum class Kind {
    kExited,
    kSignalled,
    kNotFound,  // no such program, or it cannot be executed
    kTimedOut,  // was killed; where even that did not help, left behind
  } kind = Kind::kNotFound;
  int value = 0;       // exit status, or number of the signal
  std::string output;  // of stdout, at most a megabyte
  std::string errors;  // of stderr, the same

  [[nodiscard]] bool is_success() const { return kind == Kind::kExited && value == 0; }
};

/// One answer a question, in their order, when the slowest has answered or its limit has passed.
[[nodiscard]] std::vector<Answer> ask(const std::vector<Question>& questions);

}  // namespace mestre
