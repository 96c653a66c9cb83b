#include "runners/local/process.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace mestre {
namespace {

class ProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "mestre-process-XXXXXX").native();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  Process shell(const std::string& script) const {
    return Process::start({.program = "/bin/sh",
                           .arguments = {"-c", script},
                           .output = folder_ / "out",
                           .environment = {{"NAME", "a b"}}});
  }
  static ExitReason wait(Process& process) {
    pollfd ready{.fd = process.descriptor(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&ready, 1, 10'000), 1);
    return process.ended().value();
  }

  fs::path folder_;
};

TEST_F(ProcessTest, OutputAndStatusComeBack) {
  Process process = shell("echo out; echo err >&2; echo \"$NAME\"; exit 3");
  EXPECT_EQ(describe(wait(process)), "exit status 3");
  EXPECT_EQ(read_file(folder_ / "out"), "out\nerr\na b\n");
}

TEST_F(ProcessTest, ASignalIsNotAnExitStatus) {
  Process process = shell("exec sleep 60");
  EXPECT_FALSE(process.ended());
  process.signal(SIGKILL);
  EXPECT_EQ(describe(wait(process)), "killed by signal 9 (Killed)");
}

TEST_F(ProcessTest, TheChildLeadsItsOwnSessionAndHoldsNoneOfOurFiles) {
  const auto lock = FileLock::try_acquire(folder_ / "lock");
  ASSERT_TRUE(lock);
  Process process = shell("cut -d' ' -f6 /proc/$$/stat; echo $$; ls /proc/self/fd | wc -l");
  wait(process);
  const std::string text = read_file(folder_ / "out");
  const std::string session = text.substr(0, text.find('\n'));
  EXPECT_EQ(session, std::to_string(process.pid())) << text;
  EXPECT_EQ(text.substr(text.rfind('\n', text.size() - 2) + 1), "4\n")
      << "stdin, stdout, stderr and ls's own folder: " << text;
}

TEST_F(ProcessTest, AMissingProgramIsAnErrorAtOnce) {
  try {
    (void)Process::start({.program = folder_ / "nothing", .output = folder_ / "out"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_NE(std::string(error.what()).find("nothing"), std::string::npos);
  }
}

TEST_F(ProcessTest, AdoptsTheSameProcessAndNoOther) {
  Process process = shell("exec sleep 60");
  ProcessIdentity identity = this_process();
  identity.pid = process.pid();
  identity.start_time = start_time_of(process.pid()).value();
  EXPECT_TRUE(Process::adopt(identity));
  ProcessIdentity other = identity;
  other.start_time += 1;
  EXPECT_FALSE(Process::adopt(other));
  other = identity;
  other.boot_id = "another";
  EXPECT_FALSE(Process::adopt(other));
  other = identity;
  other.host = "another";
  EXPECT_FALSE(Process::adopt(other));
  process.signal(SIGKILL);
  wait(process);
  EXPECT_FALSE(Process::adopt(identity));
}

}  // namespace
}  // namespace mestre
