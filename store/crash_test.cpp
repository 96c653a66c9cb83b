// Nothing is lost or doubled however ingest is cut: journals that grow in random pieces, ingesters that are killed,
// disks that are full. What the store holds in the end is compared with the journals themselves, read here by another
// parser.
#include <sys/mount.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <rapidcheck/gtest.h>

#include "core/base/error.h"
#include "store/ingest.h"
#include "store/store_test.h"

namespace mestre {
namespace {

// What journals say, as the text that rows() gives of the views.
struct Expected {
  std::string points;
  std::string events;
  std::string attempts;
};

constexpr const char* kPoints =
    "SELECT job, attempt, name, step, value, t FROM curves ORDER BY job, attempt, name, step";
constexpr const char* kEvents = "SELECT job, attempt, seq, type FROM events ORDER BY job, attempt, seq";
constexpr const char* kAttempts = "SELECT job, attempt, outcome, progress_done FROM attempts ORDER BY job, attempt";

Expected expected_of(const std::vector<TestJob>& jobs) {
  std::map<std::pair<std::string, int>, std::map<std::pair<std::string, std::int64_t>, std::string>> points;
  std::map<std::string, std::map<int, std::int64_t>> restored;  // by job and attempt; 0: afresh
  std::map<std::string, std::string> events;
  std::map<std::string, std::string> attempts;
  for (const TestJob& job : jobs) {
    for (int attempt = 1; fs::exists(job.journal(attempt)); ++attempt) {
      std::ifstream journal(job.journal(attempt));
      const std::string key = fmt::format("{}|{}", job.id, attempt);
      const std::string order = fmt::format("{}|{:06}", job.id, attempt);
      std::string outcome;
      std::string progress;
      for (std::string line; std::getline(journal, line);) {
        const auto json = nlohmann::json::parse(line);
        const std::string type = json["type"];
        if (type == "metrics") {
          for (const auto& [name, value] : json["values"].items())
            points[{job.id, attempt}][{name, json["step"]}] =
                fmt::format("{}|{}", value.get<double>(), json["t"].get<double>());
        } else if (type == "progress") {
          progress = fmt::format("{}", json["done"].get<double>());
        } else {
          events[fmt::format("{}|{:06}", order, json["seq"].get<int>())] =
              fmt::format("{}|{}|{}\n", key, json["seq"].get<int>(), type);
        }
        if (type == "started")
          restored[job.id][attempt] = json["restored"].is_null() ? 0 : json["restored"]["step"].get<std::int64_t>();
        if (type == "finished" || type == "failed") outcome = type;
      }
      attempts[order] = fmt::format("{}|{}|{}\n", key, outcome, progress);
    }
  }
  Expected expected;
  for (const auto& [attempt, curves] : points) {
    std::int64_t valid_through = std::numeric_limits<std::int64_t>::max();
    for (const auto& [number, step] : restored[attempt.first])
      if (number > attempt.second) valid_through = std::min(valid_through, step);
    for (const auto& [point, text] : curves)
      if (point.second <= valid_through)
        expected.points +=
            fmt::format("{}|{}|{}|{}|{}\n", attempt.first, attempt.second, point.first, point.second, text);
  }
  for (const auto& [key, text] : events) expected.events += text;
  for (const auto& [key, text] : attempts) expected.attempts += text;
  return expected;
}

// Journals of jobs whose attempts were killed and resumed, in `workspace`.
std::vector<TestJob> write_jobs(const Workspace& workspace, int count, std::int64_t steps, std::mt19937& random) {
  std::vector<TestJob> jobs;
  for (int i = 0; i < count; ++i) {
    const TestJob& job = jobs.emplace_back(make_job(workspace, std::to_string(i)));
    std::int64_t checkpoint = 0;
    std::int64_t step = 0;
    for (int attempt = 1; step < steps; ++attempt) {
      JournalWriter journal = job.begin(attempt);
      const Restored restored{.file = "checkpoint", .digest = "d", .step = checkpoint};
      journal.started(job.id, attempt, checkpoint > 0 ? &restored : nullptr, steps);
      step = checkpoint;
      const std::int64_t killed_at = std::uniform_int_distribution<std::int64_t>(1, 2 * steps)(random);
      while (step < std::min(steps, killed_at)) {
        write_steps(journal, step + 1, step + 1);
        if (++step % 7 == 0) journal.progress(step, steps, 10.5);
        if (step % 25 == 0) journal.checkpoint(checkpoint = step, "checkpoint", "d");
      }
      if (step >= steps) journal.finished({});
    }
  }
  return jobs;
}

void expect_same(const fs::path& database_path, const Expected& expected) {
  Database database = Database::open_for_reading(database_path);
  EXPECT_TRUE(rows(database, kPoints) == expected.points);
  EXPECT_EQ(rows(database, kEvents), expected.events);
  EXPECT_EQ(rows(database, kAttempts), expected.attempts);
}

// Copies journals from one workspace to another in pieces.
class Copier {
 public:
  Copier(const std::vector<TestJob>& from, const Workspace& to) {
    for (const TestJob& job : from) {
      fs::create_directories(to.job(job.id));
      fs::copy_file(job.folder / "job.json", to.job(job.id) / "job.json");
      for (int attempt = 1; fs::exists(job.journal(attempt)); ++attempt) {
        const fs::path folder = attempt_folder(to.job(job.id), attempt);
        fs::create_directories(folder);
        pieces_.push_back({.to = folder / "journal.jsonl", .bytes = read_file(job.journal(attempt))});
      }
    }
  }
  [[nodiscard]] std::size_t size() const { return pieces_.size(); }
  /// Appends up to `count` bytes of journal `index`.
  void copy(std::size_t index, std::size_t count) {
    Piece& piece = pieces_[index];
    count = std::min(count, piece.bytes.size() - piece.copied);
    std::ofstream(piece.to, std::ios::app) << std::string_view(piece.bytes).substr(piece.copied, count);
    piece.copied += count;
  }
  void copy_all() {
    for (std::size_t i = 0; i < pieces_.size(); ++i) copy(i, std::string::npos);
  }

 private:
  struct Piece {
    fs::path to;
    std::string bytes;
    std::size_t copied = 0;
  };
  std::vector<Piece> pieces_;
};

RC_GTEST_PROP(ExactlyOnce, WhateverPiecesTheJournalsComeIn, (unsigned seed)) {
  std::mt19937 random(seed);
  TemporaryFolder folder;
  const std::vector<TestJob> jobs = write_jobs(Workspace{folder.path() / "source"}, 3, 60, random);
  const Workspace workspace{folder.path() / "work"};
  fs::create_directories(workspace.jobs());
  Copier copier(jobs, workspace);
  const int rounds = *rc::gen::inRange(1, 12);
  const auto lines_per_transaction = *rc::gen::inRange<std::int64_t>(1, 100);
  for (int round = 0; round < rounds; ++round) {
    // A new connection each time, as after a restart; now and then two calls on one.
    Database database = Database::open_for_writing(workspace.database());
    Ingester ingester(database, lines_per_transaction);
    for (int call = 0; call < 2; ++call) {
      for (std::size_t i = 0; i < copier.size(); ++i) copier.copy(i, *rc::gen::inRange<std::size_t>(0, 2000));
      RC_ASSERT(ingester.ingest(all_jobs(workspace)).problems.empty());
    }
  }
  copier.copy_all();
  {
    Database database = Database::open_for_writing(workspace.database());
    RC_ASSERT(Ingester(database, lines_per_transaction).ingest(all_jobs(workspace)).problems.empty());
  }
  const Expected expected = expected_of(jobs);
  Database database = Database::open_for_reading(workspace.database());
  RC_ASSERT(rows(database, kPoints) == expected.points);
  RC_ASSERT(rows(database, kEvents) == expected.events);
  RC_ASSERT(rows(database, kAttempts) == expected.attempts);
}

// Ingests in a child process and kills it after `microseconds`. Returns whether the kill came before the end.
bool ingest_until_killed(const Workspace& workspace, double microseconds) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      Database database = Database::open_for_writing(workspace.database());
      static_cast<void>(Ingester(database, 500).ingest(all_jobs(workspace)));
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  std::this_thread::sleep_for(std::chrono::duration<double, std::micro>(microseconds));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) != 0) << "the ingester failed";
  return WIFSIGNALED(status);
}

TEST(ExactlyOnce, WhenIngestersAreKilledAtAnyMoment) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  TemporaryFolder folder;
  const std::vector<TestJob> jobs = write_jobs(Workspace{folder.path() / "source"}, 8, 2000, random);
  const Workspace workspace{folder.path() / "work"};
  fs::create_directories(workspace.jobs());
  Copier copier(jobs, workspace);
  int kills = 0;
  double patience = 10'000;  // microseconds; follows the machine's speed, so that about half of the kills hit
  for (int round = 0; round < 60; ++round) {
    for (std::size_t i = 0; i < copier.size(); ++i)
      copier.copy(i, std::uniform_int_distribution<std::size_t>(0, 12'000)(random));
    const bool hit = ingest_until_killed(workspace, std::uniform_real_distribution<>(0, 2 * patience)(random));
    patience *= hit ? 1.3 : 0.8;
    kills += hit ? 1 : 0;
  }
  copier.copy_all();
  {
    Database database = Database::open_for_writing(workspace.database());
    EXPECT_TRUE(Ingester(database).ingest(all_jobs(workspace)).problems.empty());
  }
  EXPECT_GT(kills, 10) << "too few ingesters were still at work when they were killed";
  expect_same(workspace.database(), expected_of(jobs));
}

// A file system of `bytes` in memory, for root; else nothing.
class SmallDisk {
 public:
  SmallDisk(fs::path folder, int kilobytes) : folder_(std::move(folder)) {
    fs::create_directories(folder_);
    mounted_ = ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, fmt::format("size={}k", kilobytes).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }
  void grow(int kilobytes) const {
    ASSERT_EQ(::mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT, fmt::format("size={}k", kilobytes).c_str()), 0);
  }

 private:
  fs::path folder_;
  bool mounted_ = false;
};

TEST(ExactlyOnce, WhenTheDiskIsFullAndThenIsNot) {
  std::mt19937 random(7);
  TemporaryFolder folder;
  const Workspace workspace{folder.path() / "work"};
  const std::vector<TestJob> jobs = write_jobs(workspace, 8, 2000, random);
  const SmallDisk disk(folder.path() / "disk", 700);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can only be mounted by root";
  const fs::path path = folder.path() / "disk" / "mestre.db";
  try {
    Database database = Database::open_for_writing(path);
    static_cast<void>(Ingester(database, 1000).ingest(all_jobs(workspace)));
    FAIL() << "everything fitted on the small disk";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDiskFull) << error.message();
  }
  disk.grow(64'000);
  {
    Database database = Database::open_for_writing(path);
    EXPECT_TRUE(Ingester(database).ingest(all_jobs(workspace)).problems.empty());
  }
  expect_same(path, expected_of(jobs));
}

}  // namespace
}  // namespace mestre
