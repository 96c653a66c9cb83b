// Lines of JSON, compressed files, threads, and carrying on: prepare beyond plain files.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdlib>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/data/packed.h"
#include "core/data/prepare.h"
#include "core/data/test_folder.h"
#include "core/data/tokenizer.h"
#include "core/data/unit_reader.h"

namespace mestre {
namespace {

std::string compressed(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

class PrepareLinesTest : public testing::Test {
 protected:
  PrepareLinesTest() {
    options_.root = folder_.path() / "data";
    options_.name = "web";
    options_.inputs = {folder_.path() / "in"};
  }

  // Texts of a split, in order.
  [[nodiscard]] std::vector<std::string> texts(const std::string& split = "train") const {
    const PackedCorpus corpus(options_.root / options_.name / (split + ".manifest"));
    corpus.verify();
    std::vector<std::int64_t> tokens(static_cast<std::size_t>(corpus.tokens()));
    corpus.read(0, tokens);
    std::vector<std::string> found;
    for (const std::int64_t token : tokens) {
      if (token == 256)
        found.emplace_back();
      else
        found.back() += static_cast<char>(token);
    }
    EXPECT_EQ(static_cast<std::int64_t>(found.size()), corpus.manifest().documents);
    return found;
  }
  [[nodiscard]] fs::path in(const std::string& name) const { return folder_.path() / "in" / name; }

  // A corpus of every kind of source.
  void write_all_kinds() const {
    std::string lines;
    for (int i = 0; i < 3000; ++i)
      lines += R"({"text": "line )" + std::to_string(i) + std::string(static_cast<std::size_t>(i % 900), 'y') +
               R"(\n", "meta": {"set": "x"}})" + "\n";
    folder_.write("in/chunk0.jsonl", lines);
    folder_.write("in/chunk1.jsonl.zst", compressed(lines.substr(0, lines.size() / 2)));
    std::string large;
    while (large.size() < 3'300'000) large += "words of a long document " + std::to_string(large.size()) + "\n";
    folder_.write("in/large.txt", large);
    folder_.write("in/packed.txt.zst", compressed(large.substr(0, 1'500'000)));
    for (int i = 0; i < 50; ++i) folder_.write("in/small/" + std::to_string(i), std::string(100 + i, 'a'));
  }

  TestFolder folder_;
  PrepareOptions options_;
};

TEST_F(PrepareLinesTest, TakesEachLineForADocument) {
  folder_.write("in/a.jsonl",
                "\xEF\xBB\xBF{\"text\": \"one\", \"meta\": {\"text\": \"no\"}}\n\n  \r\n"
                "{\"meta\": [1, 2], \"text\": \"two\\n\\u00e9\"}\r\n{\"text\": \"\"}\n{\"text\": \"last\"}");
  const PrepareReport report = prepare(options_);
  EXPECT_EQ(texts(), (std::vector<std::string>{"one", "two\né", "last"}));
  EXPECT_EQ(report.tally.empty, 1);
  EXPECT_EQ(report.tally.bad_lines, 0);
  EXPECT_EQ(report.tally.text_bytes, 13);

  folder_.write("in/a.jsonl", R"({"text": "one", "content": "other"})");
  options_.name = "other";
  options_.text_key = "content";
  (void)prepare(options_);
  EXPECT_EQ(texts(), std::vector<std::string>{"other"});
}

TEST_F(PrepareLinesTest, CountsAndNamesBadLines) {
  folder_.write("in/a.jsonl",
                "{\"text\": \"good\"}\n{\"text\": \"torn\n[1]\n{\"body\": \"x\"}\n{\"text\": 5}\n{\"text\": \"\xFF\"}\n"
                "{\"text\": \"x\"} {\"text\": \"y\"}\n{\"text\": \"with \\u0000\"}\n{\"text\": \"\\ud800\"}\n{\"te");
  const PrepareReport report = prepare(options_);
  EXPECT_EQ(texts(), (std::vector<std::string>{"good", std::string("with \0", 6)}));
  EXPECT_EQ(report.tally.bad_lines, 8);
  EXPECT_EQ(report.tally.with_nul, 1);
  ASSERT_EQ(report.bad.size(), kMostExamples);
  const std::vector<std::string> reasons = {"it is not JSON", "it is no object", "it has no member 'text'",
                                            "its member 'text' is no string", "it is not UTF-8"};
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    EXPECT_EQ(report.bad[i].path, in("a.jsonl").native() + ":" + std::to_string(i + 2));
    EXPECT_EQ(report.bad[i].reason, reasons[i]);
  }
  folder_.write("in/a.jsonl", "{\n}\n");
  options_.name = "none";
  try {
    (void)prepare(options_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "no document was found");
    EXPECT_EQ(error.hints().back(), "'" + in("a.jsonl").native() + ":2': it is not JSON");
  }
}

TEST_F(PrepareLinesTest, PassesOverLinesThatAreTooLong) {
  folder_.write("in/a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"" + std::string(kLongestLine + 1, 'x') +
                                  "\"}\n{\"text\": \"three\"}\n{\"text\": \"" + std::string(kLongestLine - 100, 'y') +
                                  "\"}\nbroken\n" + std::string(kLongestLine + 1, 'z'));
  const PrepareReport report = prepare(options_);
  const std::vector<std::string> found = texts();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[1], "three");
  EXPECT_EQ(found[2].size(), kLongestLine - 100);
  EXPECT_EQ(report.tally.bad_lines, 3);
  ASSERT_EQ(report.bad.size(), 3U);
  EXPECT_EQ(report.bad[0].path, in("a.jsonl").native() + ":2");
  EXPECT_EQ(report.bad[0].reason, "longer than 32 MiB");
  EXPECT_EQ(report.bad[1].path, in("a.jsonl").native() + ":5");
  EXPECT_EQ(report.bad[2].path, in("a.jsonl").native() + ":6");
}

TEST_F(PrepareLinesTest, IsTheSameForCompressedFiles) {
  std::string lines;
  for (int i = 0; i < 500; ++i) lines += R"({"text": "document )" + std::to_string(i) + "\"}\n";
  folder_.write("in/a.jsonl", lines);
  folder_.write("in/b.txt", "plain text");
  options_.holdout = 0.2;
  const PrepareReport plain = prepare(options_);
  // Frozen, with the split of lines.
  EXPECT_EQ(plain.train.identity.digest, "e52578bc6f7fdcb658d8e5f149c3b4c5");
  EXPECT_EQ(plain.validation->identity.digest, "5bbc75be97395a4041cf1b1db677fe78");
  EXPECT_NEAR(static_cast<double>(plain.validation->documents), 100, 36);

  fs::remove_all(folder_.path() / "in");
  folder_.write("in/a.jsonl.zst", compressed(lines.substr(0, 3000)) + compressed(lines.substr(3000)));
  folder_.write("in/b.txt.zst", compressed("plain text"));
  options_.name = "compressed";
  const PrepareReport report = prepare(options_);
  EXPECT_EQ(report.train.identity.digest, plain.train.identity.digest);
  EXPECT_EQ(report.validation->identity.digest, plain.validation->identity.digest);
}

TEST_F(PrepareLinesTest, SurvivesTornAndDamagedCompression) {
  std::string lines;
  for (int i = 0; i < 200000; ++i) lines += "{\"text\": \"" + std::to_string(i * 7919LL % 1000003) + "\"}\n";
  const std::string whole = compressed(lines);
  folder_.write("in/torn.jsonl.zst", whole.substr(0, whole.size() / 2));
  folder_.write("in/no.jsonl.zst", "this is no zstd frame");
  folder_.write("in/empty.txt.zst", compressed(""));
  const PrepareReport report = prepare(options_);
  const std::vector<std::string> found = texts();
  EXPECT_GT(found.size(), 10000U);
  EXPECT_LT(found.size(), 190000U);
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], std::to_string(i * 7919LL % 1000003));
  EXPECT_EQ(report.tally.torn, 2);
  EXPECT_EQ(report.tally.empty, 1);
  EXPECT_LE(report.tally.bad_lines, 1) << "the line that was cut off";
  ASSERT_EQ(report.skipped.size(), 2U);
  for (const SkippedSource& each : report.skipped)
    EXPECT_EQ(each.reason, each.path == in("torn.jsonl.zst").native()
                               ? "it ends in the middle of a compressed frame"
                               : "its compression is damaged (Unknown frame descriptor)");
}

TEST_F(PrepareLinesTest, DependsNeitherOnThreadsNorOnReadingAhead) {
  write_all_kinds();
  options_.holdout = 0.2;
  for (const char* tokenizer : {"bytes", "bpe.model"}) {
    if (tokenizer != std::string("bytes")) {
      options_.tokenizer = "sentencepiece:" +
                           (fs::path(std::getenv("MESTRE_SOURCE")) / "tests/reference/tokenizers" / tokenizer).native();
      try {
        (void)open_tokenizer(options_.tokenizer);
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), ErrorCode::kEnvironment) << error.message();
        continue;  // this build is without the library
      }
    }
    std::vector<PrepareReport> reports;
    for (const auto& [threads, read_ahead] : {std::pair(1, 1), std::pair(2, 3'000'000), std::pair(7, 100'000'000)}) {
      options_.name = std::string(tokenizer) + std::to_string(threads);
      options_.pace = {.threads = threads, .read_ahead = static_cast<std::size_t>(read_ahead)};
      reports.push_back(prepare(options_));
      EXPECT_EQ(reports.back().train.identity.digest, reports.front().train.identity.digest);
      EXPECT_EQ(reports.back().validation->identity.digest, reports.front().validation->identity.digest);
      EXPECT_EQ(reports.back().tally.text_bytes, reports.front().tally.text_bytes);
    }
    EXPECT_EQ(fs::exists(options_.root / options_.name / kTokenizerFile), tokenizer != std::string("bytes"));
  }
}

// Killed again and again, it gets to the same end without doing twice what was durable.
TEST_F(PrepareLinesTest, CarriesOnWhereItWasKilled) {
  write_all_kinds();
  folder_.write("in/bad.jsonl", "broken\n{\"text\": \"fine\"}\n");
  options_.holdout = 0.2;
  const PrepareReport whole = prepare(options_);
  ASSERT_EQ(whole.tally.bad_lines, 2) << "one is written here, one was cut off by write_all_kinds";
  ::usleep(2'200'000);  // until the sources are older than any doubt about the clock
  options_.name = "killed";
  options_.pace = {.threads = 2, .read_ahead = 2'000'000, .sync_every = 1};
  int kills = 0;
  for (;; ++kills) {
    ASSERT_LT(kills, 30) << "no progress";
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      int calls = 0;
      (void)prepare(options_, [&](const PackProgress&) {
        if (++calls == 3) ::raise(SIGKILL);
      });
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) break;
    // Garbage behind the last checkpoint, as a crash may leave it.
    for (const auto& entry : fs::recursive_directory_iterator(options_.root))
      if (entry.path().filename() == kJournalFile || entry.path().filename() == "train.bin") {
        if (entry.path().native().find("partial") == std::string::npos) continue;
        folder_.write(entry.path(), read_file(entry.path()) + "{\"torn");
      }
  }
  EXPECT_GE(kills, 2);
  const PrepareReport report = prepare(options_);
  EXPECT_TRUE(report.up_to_date);
  EXPECT_EQ(report.train.identity.digest, whole.train.identity.digest);
  EXPECT_EQ(report.validation->identity.digest, whole.validation->identity.digest);
  EXPECT_EQ(report.train.documents, whole.train.documents);
  for (const auto& [name, member] : kTallyMembers) EXPECT_EQ(report.tally.*member, whole.tally.*member) << name;
  EXPECT_FALSE(fs::exists(options_.root / "killed" / kJournalFile));
}

// Leftovers of another command, or with tokens that are not those of the journal, are not carried on from.
TEST_F(PrepareLinesTest, CarriesOnOnlyWhatIsItsOwn) {
  write_all_kinds();
  ::usleep(2'200'000);
  options_.pace = {.threads = 1, .read_ahead = 1, .sync_every = 1};
  const auto kill_after = [&](int units) {
    const pid_t child = ::fork();
    if (child == 0) {
      int calls = 0;
      (void)prepare(options_, [&](const PackProgress&) {
        if (++calls == units) ::raise(SIGKILL);
      });
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  };
  kill_after(4);
  for (const auto& entry : fs::recursive_directory_iterator(options_.root))
    if (entry.path().filename() == "train.bin")
      folder_.write(entry.path(), std::string(fs::file_size(entry.path()), 'q'));
  const PrepareReport first = prepare(options_);
  EXPECT_EQ(first.carried_on, 0);
  PackedCorpus(options_.root / "web/train.manifest").verify();

  options_.name = "again";
  kill_after(4);
  PrepareOptions other = options_;
  other.holdout = 0.5;
  EXPECT_EQ(prepare(other).carried_on, 0);
  other.force = true;
  other.holdout = 0;
  EXPECT_EQ(prepare(other).train.identity.digest, first.train.identity.digest);

  options_.name = "own";
  kill_after(4);
  const PrepareReport own = prepare(options_);
  EXPECT_GT(own.carried_on, 1'000'000);
  EXPECT_EQ(own.train.identity.digest, first.train.identity.digest);
}

}  // namespace
}  // namespace mestre
