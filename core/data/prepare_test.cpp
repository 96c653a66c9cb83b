#include "core/data/prepare.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/data/packed.h"
#include "core/data/test_folder.h"

namespace mestre {
namespace {

class PrepareTest : public testing::Test {
 protected:
  PrepareTest() {
    options_.root = folder_.path() / "data";
    options_.name = "code/headers";
    options_.inputs = {folder_.path() / "in"};
  }

  void write_sources(int count, int bytes = 10) const {
    for (int i = 0; i < count; ++i)
      folder_.write("in/d" + std::to_string(i % 7) + "/" + std::to_string(i) + ".h", text_of(i, bytes));
  }
  static std::string text_of(int i, int bytes) {
    return std::string(static_cast<std::size_t>(bytes + i), static_cast<char>('a' + i % 26));
  }

  // Makes every source older than any doubt about the clock's granularity, so that the stamp is conclusive. Status
  // changes cannot be set back, so the test waits for them.
  [[nodiscard]] static PrepareReport prepare_until_conclusive(const PrepareOptions& options) {
    PrepareReport report;
    for (int i = 0; i < 200 && !report.up_to_date; ++i) {
      report = prepare(options);
      ::usleep(50'000);
    }
    return report;
  }

  [[nodiscard]] fs::path out(const std::string& name = "") const { return options_.root / options_.name / name; }
  [[nodiscard]] std::vector<std::string> names_in(const fs::path& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().native());
    std::sort(names.begin(), names.end());
    return names;
  }
  [[nodiscard]] std::string complaint() const {
    try {
      (void)prepare(options_);
    } catch (const Error& error) {
      return error.message();
    }
    return "none";
  }

  TestFolder folder_;
  PrepareOptions options_;
};

TEST_F(PrepareTest, PacksEachDocumentWholeBehindItsBegin) {
  write_sources(100);
  options_.holdout = 0.2;
  const PrepareReport report = prepare(options_);
  EXPECT_FALSE(report.up_to_date);
  ASSERT_TRUE(report.validation);
  EXPECT_EQ(report.train.documents + report.validation->documents, 100);
  EXPECT_EQ(report.train.tokens + report.validation->tokens, report.source_bytes + 100);

  std::vector<bool> seen(100, false);
  for (const char* split : {"train", "validation"}) {
    const PackedCorpus corpus(out(std::string(split) + ".manifest"));
    corpus.verify();
    std::vector<std::int64_t> tokens(static_cast<std::size_t>(corpus.tokens()));
    corpus.read(0, tokens);
    for (std::size_t at = 0; at < tokens.size();) {
      ASSERT_EQ(tokens[at++], 256);
      std::string text;
      while (at < tokens.size() && tokens[at] != 256) text += static_cast<char>(tokens[at++]);
      const int i = static_cast<int>(text.size()) - 10;
      ASSERT_EQ(text, text_of(i, 10));
      EXPECT_FALSE(seen.at(static_cast<std::size_t>(i)));
      seen[static_cast<std::size_t>(i)] = true;
    }
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), 100);
  EXPECT_EQ(names_in(out()), (std::vector<std::string>{"prepare.json", "train.bin", "train.manifest", "validation.bin",
                                                       "validation.manifest"}));
  EXPECT_EQ(names_in(options_.root / "code"), std::vector<std::string>{"headers"})
      << "nothing may be left beside the result";
}

TEST_F(PrepareTest, GivesTheSameDigestsEverywhere) {
  write_sources(50);
  options_.holdout = 0.2;
  const PrepareReport first = prepare(options_);
  // Frozen: the digests that sweep files pin.
  EXPECT_EQ(first.train.identity.digest, "641f2ede968bc39a6bf5ba29387c427d");
  EXPECT_EQ(first.validation->identity.digest, "827cdc32c5d979a28d2a3b43526d754e");

  fs::create_directories(folder_.path() / "elsewhere");
  fs::rename(folder_.path() / "in", folder_.path() / "elsewhere/moved");
  options_.inputs = {folder_.path() / "elsewhere/moved"};
  options_.name = "again";
  EXPECT_EQ(prepare(options_).train.identity.digest, first.train.identity.digest);
}

TEST_F(PrepareTest, StreamsDocumentsLargerThanAPiece) {
  folder_.write("in/large", std::string(3'500'000, 'x') + std::string("\0y", 2));
  const PrepareReport report = prepare(options_);
  EXPECT_EQ(report.train.tokens, 3'500'003);
  EXPECT_EQ(report.tally.with_nul, 1);
  const PackedCorpus corpus(out("train.manifest"));
  corpus.verify();
  std::vector<std::int64_t> last(3);
  corpus.read(3'500'000, last);
  EXPECT_EQ(last, (std::vector<std::int64_t>{'x', 0, 'y'}));
}

TEST_F(PrepareTest, IsUpToDateOnlyWhileSourcesAndResultAreTheSame) {
  write_sources(20);
  EXPECT_TRUE(prepare_until_conclusive(options_).up_to_date);
  const std::string digest = prepare(options_).train.identity.digest;
  EXPECT_EQ(digest.size(), 32U);

  // A result that was tampered with is made again, with the same digest and without --force.
  const std::string bytes = read_file(out("train.bin"));
  folder_.write(out("train.bin"), std::string(bytes.size(), 'z'));
  const PrepareReport mended = prepare(options_);
  EXPECT_FALSE(mended.up_to_date);
  EXPECT_EQ(read_file(out("train.bin")), bytes);

  // So is one whose sources were touched but hold the same text.
  EXPECT_TRUE(prepare_until_conclusive(options_).up_to_date);
  folder_.write("in/d0/0.h", text_of(0, 10));
  const PrepareReport touched = prepare(options_);
  EXPECT_FALSE(touched.up_to_date);
  EXPECT_EQ(touched.train.identity.digest, digest);

  // Other text needs --force.
  folder_.write("in/d0/0.h", "other text");
  EXPECT_EQ(complaint(),
            "'" + out().parent_path().native() + "' holds other data: the sources changed since they were written");
  EXPECT_EQ(read_manifest(out("train.manifest")).identity.digest, digest);
  options_.force = true;
  EXPECT_NE(prepare(options_).train.identity.digest, digest);
}

// A source written again within the granularity of the file system's clock can bear the same size and times.
TEST_F(PrepareTest, DoesNotTrustTimesThatAreTooYoung) {
  write_sources(3);
  (void)prepare(options_);
  EXPECT_FALSE(prepare(options_).up_to_date);
}

TEST_F(PrepareTest, RefusesToReplaceWhatItDidNotWrite) {
  write_sources(3);
  (void)prepare(options_);
  options_.holdout = 0.9;
  EXPECT_NE(complaint().find("holds other data: another command wrote them"), std::string::npos) << complaint();

  options_.force = true;
  folder_.write(out("notes.txt"), "mine");
  EXPECT_NE(complaint().find("holds 'notes.txt', which 'mestre data prepare' did not write"), std::string::npos)
      << complaint();
  EXPECT_EQ(read_file(out("notes.txt")), "mine");

  options_.name = "file";
  folder_.write("data/file", "mine");
  EXPECT_NE(complaint().find("is there already and is no folder of data"), std::string::npos) << complaint();
}

TEST_F(PrepareTest, ReportsWhatItCannotRead) {
  write_sources(3);
  folder_.write("in/empty.h", "");
  folder_.write("in/secret.h", "x");
  folder_.write("in/locked/inside.h", "x");
  fs::permissions(folder_.path() / "in/secret.h", fs::perms::none);
  fs::permissions(folder_.path() / "in/locked", fs::perms::none);
  fs::permissions(folder_.path(), fs::perms::all);
  constexpr uid_t kNobody = 65534;  // root reads everything, so it must be somebody else who tries
  const bool is_root = ::geteuid() == 0;
  ASSERT_TRUE(!is_root || ::seteuid(kNobody) == 0);
  const PrepareReport report = prepare(options_);
  ASSERT_TRUE(!is_root || ::seteuid(0) == 0);
  EXPECT_EQ(report.train.documents, 3);
  EXPECT_EQ(report.tally.empty, 1);
  EXPECT_EQ(report.tally.unreadable, 2);
  ASSERT_EQ(report.skipped.size(), 2U);
  EXPECT_EQ(report.skipped[0].path, (folder_.path() / "in/locked").native());
  EXPECT_EQ(report.skipped[1].path, (folder_.path() / "in/secret.h").native());
  EXPECT_EQ(report.skipped[1].reason, "Permission denied");
  fs::permissions(folder_.path() / "in/locked", fs::perms::owner_all);
}

TEST_F(PrepareTest, NoticesASourceThatChangesWhileItIsRead) {
  folder_.write("in/large", std::string(6'000'000, 'x'));
  options_.pace.read_ahead = 1;  // or it would be read before the first progress
  bool replaced = false;
  const auto replace = [&](const PackProgress&) {
    if (!std::exchange(replaced, true)) folder_.write("in/large", "new");
  };
  // Replacing the file leaves the one that is open as it was …
  EXPECT_EQ(prepare(options_, replace).train.tokens, 6'000'001);
  // … but appending to it does not.
  folder_.write("in/large", std::string(6'000'000, 'x'));
  options_.name = "other";
  bool appended = false;
  const auto append = [&](const PackProgress&) {
    if (std::exchange(appended, true)) return;
    const FileDescriptor file(::open((folder_.path() / "in/large").c_str(), O_WRONLY | O_APPEND));
    write_all(file.get(), "more", "large");
  };
  try {
    (void)prepare(options_, append);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kEnvironment);
    EXPECT_NE(error.message().find("changed while it was read: it had 6000000 bytes, then 6000004"), std::string::npos)
        << error.message();
  }
  EXPECT_FALSE(fs::exists(options_.root / "other"));
}

TEST_F(PrepareTest, NamesMistakesInItsOptions) {
  EXPECT_EQ(complaint(), "cannot read '" + options_.inputs[0].native() + "': No such file or directory");
  write_sources(1);
  options_.include = {"*.md"};
  EXPECT_EQ(complaint(), "no document was found");
  options_.include = {};
  options_.holdout = 1;
  EXPECT_EQ(complaint(), "a holdout of 1 is no share of the documents");
  options_.holdout = 1e-9;
  EXPECT_EQ(complaint(), "the validation split would be empty: a holdout of 1e-09 of 1 documents");
  options_.holdout = 0.999999;
  EXPECT_EQ(complaint(), "the training split would be empty: a holdout of 0.999999 of 1 documents");
  options_.holdout = 0;
  for (const char* name : {"", "../up", "/absolute", "a/../b", "a/", ".hidden", "a\nb", "a/./b"}) {
    options_.name = name;
    EXPECT_NE(complaint().find("is no name for data"), std::string::npos) << name;
  }
  options_.name = "fine";
  options_.inputs.clear();
  EXPECT_EQ(complaint(), "there is nothing to prepare");
  EXPECT_FALSE(fs::exists(options_.root / "fine"));
}

// Killed at each of its megabytes in turn, it leaves nothing under the name; the next run cleans up and succeeds.
TEST_F(PrepareTest, LeavesNothingThatLooksFinishedWhenKilled) {
  write_sources(12, 700'000);
  int kills = 0;
  for (int moment = 1;; ++moment) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      int calls = 0;
      (void)prepare(options_, [&](const PackProgress&) {
        if (++calls == moment) ::raise(SIGKILL);
      });
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    ++kills;
    EXPECT_FALSE(fs::exists(out()));
    EXPECT_EQ(names_in(options_.root / "code").size(), 2U)
        << "the last one's folder and lock; those before it were removed";
  }
  EXPECT_GE(kills, 5);
  EXPECT_EQ(names_in(options_.root / "code"), std::vector<std::string>{"headers"});
  PackedCorpus(out("train.manifest")).verify();
}

TEST_F(PrepareTest, TwoAtOnceAreHarmless) {
  write_sources(12, 700'000);
  const PrepareOptions& options = options_;
  bool nested = false;
  const PrepareReport outer = prepare(options, [&](const PackProgress&) {
    if (!std::exchange(nested, true)) (void)prepare(options);
  });
  EXPECT_TRUE(nested);
  PackedCorpus(out("train.manifest")).verify();
  EXPECT_EQ(read_manifest(out("train.manifest")).identity.digest, outer.train.identity.digest);
  EXPECT_EQ(names_in(options_.root / "code"), std::vector<std::string>{"headers"});
}

}  // namespace
}  // namespace mestre
