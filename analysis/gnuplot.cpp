// Draws a figure with the program gnuplot, started without a shell.
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "analysis/figure.h"
#include "core/base/error.h"
#include "core/base/files.h"

namespace mestre {
namespace {

/// A file in memory that a child writes into.
class MemoryFile {
 public:
  explicit MemoryFile(const char* name) : file_(memfd_create(name, MFD_CLOEXEC)) {
    if (!file_.is_open()) throw system_error(errno, "memfd_create", name);
  }
  [[nodiscard]] int descriptor() const { return file_.get(); }
  [[nodiscard]] std::string content() const {
    std::string text(static_cast<std::size_t>(lseek(file_.get(), 0, SEEK_END)), '\0');
    const ssize_t got = pread(file_.get(), text.data(), text.size(), 0);
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return text;
  }

 private:
  FileDescriptor file_;
};

/// Runs gnuplot on the script. Returns what is wrong; empty where `svg` holds the drawing.
std::string draw(const fs::path& script, std::string& svg) {
  const MemoryFile output("gnuplot-output");
  const MemoryFile errors("gnuplot-errors");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output.descriptor(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.descriptor(), STDERR_FILENO);
  // --default-settings keeps the user's gnuplotrc out; the environment holds nothing that could change the drawing.
  const fs::path absolute = fs::absolute(script);
  const char* arguments[] = {"gnuplot", "--default-settings", absolute.c_str(), nullptr};
  const char* path = std::getenv("PATH");
  const std::string path_variable = std::string("PATH=").append(path == nullptr ? "/usr/bin:/bin" : path);
  const char* environment[] = {path_variable.c_str(), "LC_ALL=C.UTF-8", nullptr};
  pid_t child = 0;
  const int failure = posix_spawnp(&child, "gnuplot", &actions, nullptr, const_cast<char**>(arguments),
                                   const_cast<char**>(environment));
  posix_spawn_file_actions_destroy(&actions);
  if (failure == ENOENT) return "gnuplot is not installed; install the package gnuplot-nox and run the command again";
  if (failure != 0) return std::string("gnuplot could not be started: ").append(std::strerror(failure));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  svg = output.content();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && svg.ends_with("</svg>\n\n")) svg.pop_back();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && svg.ends_with("</svg>\n")) return {};
  std::string said = errors.content();
  said.erase(said.find_last_not_of('\n') + 1);
  return std::string("gnuplot failed on ").append(script.string()).append(": ").append(said);
}

/// Browsers show an SVG's title while the mouse rests on it; gnuplot's is its own name.
void name_drawing(std::string& svg, std::string_view title) {
  constexpr std::string_view kTheirs = "<title>Gnuplot</title>";
  const std::size_t at = svg.find(kTheirs);
  if (at == std::string::npos) return;
  std::string ours = "<title>";
  for (const char c : title) {
    if (c == '&')
      ours += "&amp;";
    else if (c == '<')
      ours += "&lt;";
    else if (static_cast<unsigned char>(c) >= 0x20)
      ours += c;
  }
  svg.replace(at, kTheirs.size(), ours.append("</title>"));
}

}  // namespace

FigureFiles write_figure(const Figure& figure, const fs::path& stem) {
  const auto with_extension = [&](std::string_view extension) { return fs::path(stem.string().append(extension)); };
  FigureFiles files{.csv = with_extension(".csv"), .script = with_extension(".gnuplot"), .svg = {}, .problem = {}};
  replace_file(files.csv, to_csv(figure));
  replace_file(files.script, to_gnuplot(figure));
  const fs::path drawing = with_extension(".svg");
  std::string svg;
  files.problem = draw(files.script, svg);
  if (!files.problem.empty()) {
    fs::remove(drawing);  // an older one would not show these data
    return files;
  }
  name_drawing(svg, figure.title);
  replace_file(drawing, svg);
  files.svg = drawing;
  return files;
}

}  // namespace mestre
