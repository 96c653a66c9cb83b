#include "runners/cli/progress_view.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

#include <fmt/format.h>

#include "core/base/units.h"

namespace mestre {
namespace {

constexpr double kPlainInterval = 60;  // s between lines where no terminal listens

std::string progress_line(const RunSnapshot& now) {
  std::string line = fmt::format("{}/{} cells", now.cells_done, now.cells);
  line += fmt::format("  {}/{} jobs", now.jobs_done, now.jobs);
  if (now.jobs_running > 0) line += fmt::format(", {} running", now.jobs_running);
  if (now.jobs_failed > 0) line += fmt::format(", {} failed", now.jobs_failed);
  if (now.tokens_per_second > 0)
    line += fmt::format("  {} tokens/s", with_thousands(std::llround(now.tokens_per_second)));
  if (now.seconds_left > 0) line += fmt::format("  {} left", short_duration(now.seconds_left));
  return line;
}

std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

ProgressView::ProgressView(bool verbose) : verbose_(verbose), terminal_(::isatty(STDERR_FILENO) == 1) {}
ProgressView::~ProgressView() {
  clear_line();
}

void ProgressView::job_started(std::string_view name, const fs::path&) {
  if (verbose_) say(fmt::format("started {}", name));
}

void ProgressView::job_adopted(std::string_view name, const fs::path&) {
  if (verbose_) say(fmt::format("took over {}, which was running", name));
}

void ProgressView::job_ended(const JobEnd& end) {
  if (end.done) {
    if (verbose_) say(fmt::format("done    {} in {}", end.name, short_duration(end.seconds)));
    return;
  }
  say(fmt::format("failed  {}: {}", end.name, end.reason));
  say(end.again ? "        another attempt follows"
                : fmt::format("        look into it with: mestre logs {}", end.job.substr(0, 8)));
}

void ProgressView::problem(std::string_view message) {
  say(fmt::format("warning: {}", message));
}

void ProgressView::tick(const RunSnapshot& snapshot) {
  const std::string line = progress_line(snapshot);
  if (terminal_) {
    std::fputs(("\r\x1b[K" + line.substr(0, terminal_width() - 1)).c_str(), stderr);
    std::fflush(stderr);
    line_shown_ = true;
    return;
  }
  const double now = now_seconds();
  if (now < next_line_at_) return;
  next_line_at_ = now + kPlainInterval;
  std::fputs((line + "\n").c_str(), stderr);
}

void ProgressView::say(const std::string& line) {
  clear_line();
  std::fputs((line + "\n").c_str(), stderr);
}

void ProgressView::clear_line() {
  if (!line_shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  line_shown_ = false;
}

}  // namespace mestre
