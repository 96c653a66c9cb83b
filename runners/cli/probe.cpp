#include "runners/cli/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include "core/base/files.h"

extern char** environ;

namespace mestre {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostOutput = std::size_t{1} << 20;
constexpr auto kPatienceWithKilled = std::chrono::milliseconds(200);

struct Pipe {
  FileDescriptor read_end;
  FileDescriptor write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

// One program that was asked.
struct Asked {
  pid_t pid = -1;
  FileDescriptor output;
  FileDescriptor errors;
  Clock::time_point deadline;
};

Asked start(const Question& question) {
  Pipe output = make_pipe();
  Pipe errors = make_pipe();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output.write_end.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.write_end.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own, so that its children can be killed with it; and the signals that we ignore are not ignored by
  // it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);

  std::vector<char*> arguments;
  for (const std::string& argument : question.command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  Asked asked;
  asked.deadline = Clock::now() + question.limit;
  if (::posix_spawnp(&asked.pid, arguments[0], &actions, &attributes, arguments.data(), environ) != 0) asked.pid = -1;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  asked.output = std::move(output.read_end);
  asked.errors = std::move(errors.read_end);
  return asked;
}

// Appends what is there; closes the descriptor at the end of the stream.
void drain(FileDescriptor& from, std::string& to) {
  std::array<char, 4096> buffer;
  const ssize_t count = ::read(from.get(), buffer.data(), buffer.size());
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) {
    from.close();
    return;
  }
  to.append(buffer.data(), std::min(static_cast<std::size_t>(count), kMostOutput - std::min(kMostOutput, to.size())));
}

void settle(const Asked& asked, bool timed_out, Answer& answer) {
  if (timed_out) ::kill(-asked.pid, SIGKILL);
  int status = 0;
  pid_t reaped = 0;
  // Even a killed process can stay, in a system call that cannot be interrupted; then it is left behind.
  for (const auto until = std::max(asked.deadline, Clock::now()) + kPatienceWithKilled;;) {
    reaped = ::waitpid(asked.pid, &status, WNOHANG);
    if (reaped != 0 || Clock::now() > until) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (timed_out || reaped != asked.pid) {
    ::kill(-asked.pid, SIGKILL);
    answer.kind = Answer::Kind::kTimedOut;
  } else if (WIFEXITED(status)) {
    answer.kind = Answer::Kind::kExited;
    answer.value = WEXITSTATUS(status);
  } else {
    answer.kind = Answer::Kind::kSignalled;
    answer.value = WTERMSIG(status);
  }
}

// Reads from all of them until each has closed its streams or run out of time.
void collect(std::vector<Asked>& asked, std::vector<Answer>& answers) {
  for (;;) {
    std::vector<pollfd> polled;
    std::vector<std::pair<FileDescriptor*, std::string*>> sinks;
    Clock::time_point earliest = Clock::time_point::max();
    for (std::size_t i = 0; i < asked.size(); ++i) {
      if (asked[i].pid < 0 || Clock::now() >= asked[i].deadline) continue;
      for (auto [from, to] :
           {std::pair{&asked[i].output, &answers[i].output}, std::pair{&asked[i].errors, &answers[i].errors}}) {
        if (!from->is_open()) continue;
        polled.push_back({.fd = from->get(), .events = POLLIN, .revents = 0});
        sinks.emplace_back(from, to);
        earliest = std::min(earliest, asked[i].deadline);
      }
    }
    if (polled.empty()) return;
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(earliest - Clock::now());
    if (::poll(polled.data(), polled.size(), static_cast<int>(std::max<std::int64_t>(wait.count(), 0))) < 0) continue;
    for (std::size_t i = 0; i < polled.size(); ++i)
      if (polled[i].revents != 0) drain(*sinks[i].first, *sinks[i].second);
  }
}

}  // namespace

std::vector<Answer> ask(const std::vector<Question>& questions) {
  std::vector<Answer> answers(questions.size());
  std::vector<Asked> asked;
  for (const Question& question : questions) asked.push_back(start(question));
  collect(asked, answers);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (asked[i].pid < 0) continue;
    settle(asked[i], asked[i].output.is_open() || asked[i].errors.is_open(), answers[i]);
  }
  return answers;
}

}  // namespace mestre
