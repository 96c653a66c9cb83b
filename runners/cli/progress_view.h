// How a run looks while it goes: one line that updates on a terminal, one line a minute elsewhere, and a line for each
// job that failed.
//
// Writes to stderr, which belongs to it while it lives.
#pragma once

#include <string>

#include "runners/scheduler.h"

namespace mestre {

class ProgressView final : public RunObserver {
 public:
  /// `verbose`: also a line for each job that starts and ends.
  explicit ProgressView(bool verbose);
  ~ProgressView() override;

  void job_started(std::string_view name, const fs::path& folder) override;
  void job_adopted(std::string_view name, const fs::path& folder) override;
  void job_ended(const JobEnd& end) override;
  void problem(std::string_view message) override;
  void tick(const RunSnapshot& snapshot) override;

 private:
  void say(const std::string& line);
  void clear_line();

  bool verbose_;
  bool terminal_;
  bool line_shown_ = false;
  double next_line_at_ = 0;  // s since the epoch, where no terminal listens
};

}  // namespace mestre
