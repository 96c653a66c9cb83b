// mestre logs: what a job wrote.

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/journal/attempt.h"
#include "runners/cli/command.h"
#include "runners/cli/output.h"
#include "runners/local/local_runner.h"
#include "store/ledger.h"

namespace mestre {
namespace {

constexpr auto kFollowInterval = std::chrono::milliseconds(300);

struct LogsArguments {
  std::string where;
  int attempt = 0;  // 0: the last
  bool follow = false;
  bool path = false;
};

std::string outcome_of(const AttemptDetail& attempt, const fs::path& job_folder) {
  if (attempt.outcome == "failed") return fmt::format("failed, {}: {}", attempt.cause, attempt.message);
  if (!attempt.outcome.empty()) return attempt.outcome;
  return FileLock::is_held(attempt_folder(job_folder, attempt.number) / "lock") ? "running" : "interrupted";
}

struct LogFile {
  fs::path path;
  fs::path lock;  // held while more may come; empty: nothing will
};

// What the worker said before it had a log of its own, or while it could not write one; in the submission's folder.
std::optional<LogFile> early_log_of(const std::string& token, const std::string& job, const Workspace& workspace) {
  std::error_code problem;
  const fs::path path = early_log(workspace, token, job);
  if (token.empty() || fs::file_size(path, problem) == 0 || problem) return std::nullopt;
  return LogFile{.path = path, .lock = {}};
}

// The token of the attempt's submission; attempt.json is optional and may be damaged, then empty.
std::string token_of(const fs::path& attempt) {
  try {
    const auto record = read_attempt_record(attempt);
    return record ? record->token : std::string();
  } catch (const Error&) {
    return {};
  }
}

// The token of the submission that may run the job now; empty where there is none.
std::string current_token(const fs::path& job_folder) {
  return fs::exists(job_folder / "launch.json") ? read_launch(job_folder).token : std::string();
}

// Where the chosen attempt's words are, in the order in which they were said. Without a choice also those of a worker
// that was started later and did not come as far as an attempt.
std::vector<LogFile> files_of(const std::string& job, int chosen, const Workspace& workspace) {
  const fs::path folder = workspace.job(job);
  const std::vector<int> attempts = attempts_of(folder);
  if (chosen > 0 && std::find(attempts.begin(), attempts.end(), chosen) == attempts.end())
    throw Error(ErrorCode::kNotFound, fmt::format("job {} has no attempt {}", job, chosen))
        .hint(attempts.empty() ? "it has none yet" : fmt::format("it has {}", fmt::join(attempts, ", ")));
  std::vector<LogFile> files;
  std::string token;
  if (!attempts.empty()) {
    const fs::path attempt = attempt_folder(folder, chosen > 0 ? chosen : attempts.back());
    token = token_of(attempt);
    if (auto early = early_log_of(token, job, workspace)) files.push_back(std::move(*early));
    files.push_back({.path = attempt / "log.txt", .lock = attempt / "lock"});
  }
  const std::string current = chosen > 0 ? std::string() : current_token(folder);
  if (current != token)
    if (auto early = early_log_of(current, job, workspace)) files.push_back(std::move(*early));
  return files;
}

void print_log(const LogFile& file, bool follow) {
  std::size_t shown = 0;
  for (;;) {
    const bool more = follow && !file.lock.empty() && FileLock::is_held(file.lock);
    const std::string text = read_file_if_exists(file.path).value_or("");
    if (text.size() > shown) put_out(std::string_view(text).substr(shown));
    shown = std::max(shown, text.size());
    flush_out();
    if (!more || reader_left()) return;
    std::this_thread::sleep_for(kFollowInterval);
  }
}

void introduce(const JobDetail& detail, const fs::path& job_folder) {
  print_note("{} {} ({})\n", detail.id, detail.kind, name_of(detail.state));
  for (const std::string& cell : detail.cells) print_note("   {}\n", cell);
  for (const AttemptDetail& attempt : detail.attempts)
    print_note("   attempt {}: {}\n", attempt.number, outcome_of(attempt, job_folder));
}

void show_job(const std::string& id, Ledger& ledger, const LogsArguments& arguments, const Globals& globals) {
  const std::vector<LogFile> files = files_of(id, arguments.attempt, globals.folders());
  if (arguments.path) {
    for (const LogFile& file : files) print_out("{}\n", file.path.native());
    return;
  }
  introduce(ledger.job(id), globals.folders().job(id));
  if (files.empty()) print_note("   it has not been started\n");
  for (const LogFile& file : files) {
    print_note("   {}\n", file.path.native());
    flush_out();  // so that the words on stderr and these stand in their order on a terminal
    print_log(file, arguments.follow);
  }
}

int logs(const LogsArguments& arguments, const Globals& globals) {
  Database database = Database::open_for_reading(globals.database_path());
  Ledger ledger(database);
  const std::vector<std::string> jobs = ledger.find(arguments.where);
  if (jobs.empty()) {
    throw Error(ErrorCode::kNotFound, fmt::format("nothing is named by '{}'", escaped(arguments.where)))
        .hint(
            "expected a job id or its beginning, or labels such as 'architecture=Samba,seed=3407'; 'mestre status "
            "SWEEP' lists the cells");
  }
  for (const std::string& job : jobs) show_job(job, ledger, arguments, globals);
  return kExitOk;
}

}  // namespace

void register_logs(CLI::App& app, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<LogsArguments>();
  CLI::App* command = app.add_subcommand("logs", "what jobs wrote, and how their attempts ended");
  command->add_option("WHERE", arguments->where, "job id or its beginning, or labels")->required();
  command->add_option("--attempt", arguments->attempt, "number of the attempt; default: the last")
      ->check(CLI::PositiveNumber);
  command->add_flag("--follow", arguments->follow, "go on until the job ends");
  command->add_flag("--path", arguments->path, "only where the logs are, one path a line");
  command->footer(
      "The logs go to stdout; which jobs they belong to, and how their attempts ended, to stderr.\n"
      "Example: mestre logs 'architecture=Samba,seed=3407'");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return logs(*arguments, globals); }; });
}

}  // namespace mestre
