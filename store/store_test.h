// What the tests of the store share: a temporary workspace whose jobs have specs and journals as workers write them.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/hash.h"
#include "core/journal/folders.h"
#include "core/journal/writer.h"
#include "store/database.h"
#include "store/query.h"

namespace mestre {

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// A folder of its own, removed in the end; in memory where it can be, for thousands of commits wait for no disk there.
class TemporaryFolder {
 public:
  TemporaryFolder() : TemporaryFolder(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : fs::temp_directory_path()) {}
  explicit TemporaryFolder(const fs::path& parent) {
    std::string name = (parent / "mestre-store-XXXXXX").native();
    if (::mkdtemp(name.data()) == nullptr) throw system_error(errno, "create folder", name);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// A job's folder with its job.json; `text` makes it different from others.
struct TestJob {
  std::string id;
  fs::path folder;

  [[nodiscard]] fs::path journal(int attempt) const { return attempt_folder(folder, attempt) / "journal.jsonl"; }
  /// Makes attempt-N and opens its journal.
  [[nodiscard]] JournalWriter begin(int attempt) const {
    fs::create_directories(attempt_folder(folder, attempt));
    return JournalWriter(journal(attempt));
  }
};

inline TestJob make_job(const Workspace& workspace, std::string_view text, std::string_view needs = {}) {
  const std::string spec =
      needs.empty()
          ? fmt::format(R"({{"format":1,"kind":"train","model":{{"name":"{}"}}}})", text)
          : fmt::format(R"({{"checkpoint":{{"job":"{}"}},"format":1,"kind":"evaluate","task":"{}"}})", needs, text);
  TestJob job{.id = xxh3_128(spec), .folder = {}};
  job.folder = workspace.job(job.id);
  fs::create_directories(job.folder);
  replace_file(job.folder / "job.json", spec + "\n");
  return job;
}

/// The folders of all jobs that a workspace holds, in the order of their ids.
inline std::vector<fs::path> all_jobs(const Workspace& workspace) {
  std::vector<fs::path> folders;
  for (const auto& shard : fs::directory_iterator(workspace.jobs()))
    for (const auto& job : fs::directory_iterator(shard)) folders.push_back(job.path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

/// Metrics of steps first … last: loss 1000 / step, and every tenth step a learning rate.
inline void write_steps(JournalWriter& journal, std::int64_t first, std::int64_t last) {
  for (std::int64_t step = first; step <= last; ++step) {
    const double loss = 1000.0 / static_cast<double>(step);
    const std::vector<Metric> values = step % 10 == 0 ? std::vector<Metric>{{"loss", loss}, {"learning_rate", 1e-3}}
                                                      : std::vector<Metric>{{"loss", loss}};
    journal.metrics(step, values);
  }
}

/// Rows as text, one line each, columns separated by '|'; NULL is empty.
inline std::string rows(Database& database, std::string_view sql) {
  std::string text;
  for (const auto& row : query_table(database, sql).rows) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      if (column > 0) text += '|';
      if (const auto* integer = std::get_if<std::int64_t>(&row[column])) text += std::to_string(*integer);
      if (const auto* number = std::get_if<double>(&row[column])) text += fmt::format("{}", *number);
      if (const auto* words = std::get_if<std::string>(&row[column])) text += *words;
    }
    text += '\n';
  }
  return text;
}

}  // namespace mestre
