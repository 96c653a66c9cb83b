#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/journal/attempt.h"
#include "core/journal/folders.h"
#include "core/journal/scanner.h"
#include "core/journal/writer.h"

// The system's calls, which fail here with the error that a test sets; the linker prefers them to the library's.
namespace {
std::atomic<int> failing_sync = 0, failing_truncation = 0, failing_allocation = 0;  // errno; 0: none
std::atomic<std::uintmax_t> room = 0;                                               // bytes last asked to be kept
}  // namespace

extern "C" int fdatasync(int descriptor) {
  errno = failing_sync;
  return failing_sync != 0 ? -1 : static_cast<int>(::syscall(SYS_fdatasync, descriptor));
}

extern "C" int ftruncate(int descriptor, off_t size) noexcept {
  errno = failing_truncation;
  if (failing_truncation == 0) room = static_cast<std::uintmax_t>(size);
  return failing_truncation != 0 ? -1 : static_cast<int>(::syscall(SYS_ftruncate, descriptor, size));
}

// Not every file system of a test machine can keep room, so none is asked to.
extern "C" int fallocate(int, int mode, off_t offset, off_t length) {
  EXPECT_EQ(mode, FALLOC_FL_KEEP_SIZE);
  errno = failing_allocation;
  if (failing_allocation != 0) return -1;
  room = static_cast<std::uintmax_t>(offset + length);
  return 0;
}

namespace mestre {
namespace {

class JournalTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "mestre-journal-XXXXXX").native();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    journal_ = folder_ / "journal.jsonl";
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write_sample(int points) const {
    JournalWriter writer(journal_);
    writer.started("job", 1, nullptr, points);
    for (int step = 1; step <= points; ++step) {
      const Metric values[] = {{"loss", 1.0 / step}, {"gradient_norm", step == 2 ? std::nan("") : 1.0}};
      writer.metrics(step, values);
    }
    const Metric summary[] = {{"tokens", 4096}};
    writer.finished(summary);
  }

  std::vector<std::string> scan(JournalCursor from = {}) const {
    JournalScanner scanner(journal_, from);
    std::vector<std::string> lines;
    while (const auto line = scanner.next()) lines.emplace_back(*line);
    return lines;
  }

  void overwrite(const std::string& bytes) const { std::ofstream(journal_, std::ios::binary) << bytes; }

  fs::path folder_;
  fs::path journal_;
};

TEST_F(JournalTest, RoundTripKeepsEveryLineInOrder) {
  write_sample(3);
  const auto lines = scan();
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_TRUE(lines[0].starts_with("{\"seq\":1,\"t\":")) << lines[0];
  EXPECT_NE(lines[0].find(R"("type":"started","job":"job","attempt":1,"restored":null,"steps":3,"crc":)"),
            std::string::npos)
      << lines[0];
  EXPECT_NE(lines[2].find(R"("step":2,"values":{"loss":0.5,"gradient_norm":"nan"})"), std::string::npos) << lines[2];
  EXPECT_EQ(ending_of(journal_), Ending::kFinished);
}

TEST_F(JournalTest, FrozenChecksumOfAKnownLine) {
  // Computed with Python's zlib.crc32; what is on users' disks must stay readable.
  JournalCursor cursor;
  EXPECT_EQ(
      check_line(
          R"({"seq":1,"t":1.500000,"type":"started","job":"x","attempt":1,"restored":null,"steps":0,"crc":745782392})",
          cursor),
      "");
  EXPECT_EQ(check_line(R"({"seq":2,"t":2.500000,"type":"finished","summary":{},"crc":478123181})", cursor), "");
  EXPECT_EQ(cursor.seq, 2);
}

TEST_F(JournalTest, ResumesBehindAnyLine) {
  write_sample(20);
  const auto all = scan();
  JournalScanner scanner(journal_, {});
  for (std::size_t read = 1; scanner.next(); ++read) {
    const auto rest = scan(scanner.cursor());
    ASSERT_EQ(rest.size(), all.size() - read);
    if (!rest.empty()) {
      EXPECT_EQ(rest.front(), all[read]);
    }
  }
}

TEST_F(JournalTest, ATornTailIsNoLineAndNoError) {
  write_sample(3);
  const std::string bytes = read_file(journal_);
  const std::size_t last_line = bytes.rfind("{\"seq\":5");
  for (std::size_t size = last_line + 1; size < bytes.size(); ++size) {
    overwrite(bytes.substr(0, size));
    JournalScanner scanner(journal_, {});
    int lines = 0;
    while (scanner.next()) ++lines;
    EXPECT_EQ(lines, 4);
    EXPECT_EQ(scanner.corrupt(), "");
    EXPECT_EQ(ending_of(journal_), Ending::kNone);
  }
}

TEST_F(JournalTest, AnyFlippedBitStopsTheScanBeforeItsLine) {
  write_sample(3);
  const std::string bytes = read_file(journal_);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    overwrite(damaged);
    const auto line_of_damage = std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    JournalScanner scanner(journal_, {});
    std::ptrdiff_t lines = 0;
    while (scanner.next()) ++lines;
    EXPECT_LE(lines, line_of_damage) << "byte " << at;
    // A damaged last newline looks like a torn tail; everything else must be named.
    EXPECT_EQ(scanner.corrupt().empty(), at == bytes.size() - 1) << "byte " << at;
  }
}

TEST_F(JournalTest, AShrunkenJournalIsAnError) {
  write_sample(3);
  JournalScanner scanner(journal_, {});
  while (scanner.next()) {
  }
  overwrite(read_file(journal_).substr(0, 10));
  EXPECT_THROW(JournalScanner(journal_, scanner.cursor()), Error);
}

TEST_F(JournalTest, TheFileIsCreatedExclusively) {
  write_sample(1);
  EXPECT_THROW(JournalWriter second(journal_), Error);
}

// A limit on the file's size stands in for a full disk: the write stops in the middle of a line.
TEST_F(JournalTest, ALineThatDidNotFitIsCutOffAgain) {
  const fs::path path = folder_ / "journal.jsonl";
  std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  {
    JournalWriter writer(path);
    writer.started("job", 1, nullptr, 3);
    const std::string whole = read_file(path);
    struct rlimit limit = before;
    limit.rlim_cur = whole.size() + 30;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    EXPECT_THROW(writer.warning("code", std::string(100, 'x')), Error);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(read_file(path), whole);
    writer.failed(Cause::kDiskFull, "no space left");
  }
  JournalScanner scanner(path, {});
  while (scanner.next()) continue;
  EXPECT_EQ(scanner.corrupt(), "");
  EXPECT_EQ(scanner.cursor().seq, 2);
}

TEST_F(JournalTest, RoomForTheLastLineIsKeptAhead) {
  constexpr std::uintmax_t kLastLine = 4096;
  {
    JournalWriter writer(journal_);
    EXPECT_GE(room, kLastLine);
    const auto warn = [&] { writer.warning("code", std::string(200, 'x')); };
    for (int line = 0; line < 100; ++line) {
      warn();
      ASSERT_GE(room, fs::file_size(journal_) + kLastLine);
    }
    failing_allocation = ENOSPC;
    std::string message;
    for (int line = 0; line < 100 && message.empty(); ++line) {
      try {
        warn();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kDiskFull);
        message = error.message();
      }
    }
    failing_allocation = 0;
    EXPECT_NE(message.find(journal_.native()), std::string::npos) << message;
    EXPECT_GE(room, fs::file_size(journal_) + kLastLine);
    writer.failed(Cause::kDiskFull, message);
    EXPECT_GE(room, fs::file_size(journal_));
  }
  EXPECT_EQ(ending_of(journal_), Ending::kFailed);
  EXPECT_EQ(room, fs::file_size(journal_)) << "what was not needed must be given back";
}

TEST_F(JournalTest, AFileSystemThatKeepsNoRoomDoesWithout) {
  failing_allocation = EOPNOTSUPP;
  {
    JournalWriter writer(journal_);
    writer.started("job", 1, nullptr, 3);
    writer.finished({});
  }
  failing_allocation = 0;
  EXPECT_EQ(ending_of(journal_), Ending::kFinished);
}

// The part of the line that was written would be the start of the next one, and all behind it lost to every reader.
TEST_F(JournalTest, NothingFollowsATornLineThatCouldNotBeCutOff) {
  std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  JournalWriter writer(journal_);
  writer.started("job", 1, nullptr, 3);
  const std::string whole = read_file(journal_);
  struct rlimit limit = before;
  limit.rlim_cur = whole.size() + 30;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  failing_truncation = EIO;
  EXPECT_THROW(writer.warning("code", std::string(100, 'x')), Error);
  failing_truncation = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  const std::string torn = read_file(journal_);
  EXPECT_EQ(torn.size(), whole.size() + 30);
  for (int line = 0; line < 2; ++line) EXPECT_THROW(writer.failed(Cause::kDiskFull, "no space left"), Error);
  EXPECT_EQ(read_file(journal_), torn);
}

TEST_F(JournalTest, AFailedSyncInTheBackgroundIsHeardOfAtTheNextLine) {
  JournalWriter writer(journal_);
  writer.started("job", 1, nullptr, 3);
  failing_sync = EIO;
  const Metric loss[] = {{"loss", 1}};
  writer.metrics(1, loss);
  std::string message;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (message.empty() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    try {
      writer.metrics(2, loss);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kIo);
      message = error.message();
    }
  }
  failing_sync = 0;
  EXPECT_NE(message.find("sync"), std::string::npos) << message;
  EXPECT_NE(message.find(journal_.native()), std::string::npos) << message;
  writer.failed(Cause::kNode, message);
  EXPECT_EQ(ending_of(journal_), Ending::kFailed);
}

class AttemptTest : public JournalTest {
 protected:
  void SetUp() override {
    JournalTest::SetUp();
    launch("first");
  }
  void launch(const std::string& token) const {
    write_file_atomically(folder_ / "launch.json",
                          to_json(Launch{.token = token, .data_root = "/data", .data = "a.manifest"}));
  }
};

TEST_F(AttemptTest, NumbersFollowAndTheHighestOwnsTheJob) {
  const Claim first = claim_attempt(folder_, "first");
  ASSERT_TRUE(first.attempt);
  EXPECT_EQ(first.attempt->number, 1);
  EXPECT_FALSE(is_superseded(folder_, 1));
  EXPECT_TRUE(FileLock::is_held(first.attempt->folder / "lock"));
  const Claim second = claim_attempt(folder_, "first");
  ASSERT_TRUE(second.attempt);
  EXPECT_EQ(second.attempt->number, 2);
  EXPECT_TRUE(is_superseded(folder_, 1));
  EXPECT_FALSE(is_superseded(folder_, 2));
}

TEST_F(AttemptTest, AForeignTokenGetsNothingAndLeavesNothing) {
  const Claim claim = claim_attempt(folder_, "second");
  EXPECT_FALSE(claim.attempt);
  EXPECT_EQ(claim.refusal, Refusal::kForeignToken);
  EXPECT_TRUE(attempts_of(folder_).empty());
}

TEST_F(AttemptTest, AFolderThatCannotBeReadIsNotOneWithoutAttempts) {
  EXPECT_TRUE(attempts_of(folder_ / "nowhere").empty());
  const fs::path loop = folder_ / "loop";
  fs::create_symlink(loop, loop);
  EXPECT_THROW((void)attempts_of(loop), Error);
  EXPECT_THROW((void)is_superseded(loop, 1), Error);
}

TEST_F(AttemptTest, TheClaimHoldsTheLaunchThatItsTokenStoodIn) {
  const Claim claim = claim_attempt(folder_, "first");
  launch("second");
  EXPECT_EQ(claim.launch.token, "first");
  EXPECT_EQ(claim.launch.data, "a.manifest");
}

TEST_F(AttemptTest, AFinishedJobIsNotRunAgain) {
  {
    const Claim claim = claim_attempt(folder_, "first");
    JournalWriter writer(claim.attempt->folder / "journal.jsonl");
    writer.started("job", 1, nullptr, 0);
    writer.finished({});
  }
  const Claim again = claim_attempt(folder_, "first");
  EXPECT_EQ(again.refusal, Refusal::kFinished);
  EXPECT_EQ(attempts_of(folder_), std::vector<int>{1});
}

TEST_F(AttemptTest, LaunchAndRecordReadBack) {
  const Launch launch = read_launch(folder_);
  EXPECT_EQ(to_json(launch), read_file(folder_ / "launch.json"));
  AttemptRecord record{
      .number = 3, .token = "t\"\n", .process = this_process(), .started_at = 12.5, .devices = {"cpu"}};
  record.versions = {{"torch", "2.11.0"}};
  record.commit = "abc";
  record.dirty = true;
  write_file_atomically(folder_ / "attempt.json", to_json(record));
  const auto read = read_attempt_record(folder_);
  ASSERT_TRUE(read);
  EXPECT_EQ(to_json(*read), to_json(record));
  EXPECT_EQ(read->process.start_time, start_time_of(::getpid()));
  EXPECT_FALSE(read_attempt_record(folder_ / "nowhere"));
}

TEST_F(AttemptTest, ABrokenLaunchNamesTheMember) {
  write_file_atomically(folder_ / "launch.json", R"({"token":"first"})");
  try {
    (void)claim_attempt(folder_, "first");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_NE(std::string(error.what()).find("data_root"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace mestre
