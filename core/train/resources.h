// Time and memory of this process.
#pragma once

#include <chrono>

namespace mestre {

/// Runs from its construction, without what was skipped.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count() - skipped_;
  }
  void restart() { *this = Stopwatch(); }
  /// Does not count these seconds.
  void skip(double seconds) { skipped_ += seconds; }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
  double skipped_ = 0;
};

/// What the system says could be allocated without swapping; 0 where it does not say.
[[nodiscard]] double available_memory_bytes();
/// The largest resident size that the process had.
[[nodiscard]] double peak_memory_bytes();

}  // namespace mestre
