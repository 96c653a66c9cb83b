#include "runners/cli/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/base/error.h"

namespace mestre {
namespace {

bool nobody_reads = false;

void check(bool written) {
  if (written) return;
  if (errno != EPIPE) throw system_error(errno, "write to", "standard output");
  nobody_reads = true;
}

}  // namespace

void put_out(std::string_view text) {
  if (!nobody_reads) check(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

void flush_out() {
  if (!nobody_reads) check(std::fflush(stdout) == 0);
}

bool reader_left() {
  return nobody_reads;
}

void put_note(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void keep_standard_streams() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0) continue;
    // Opened the wrong way round: a write to a stdout that was closed fails as it did before.
    if (::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) return;
  }
}

}  // namespace mestre
