// mestre logs: what a job wrote.

#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/journal/attempt.h"
#include "runners/cli/command.h"
#include "store/ledger.h"

namespace mestre {
namespace {

constexpr auto kFollowInterval = std::chrono::milliseconds(300);

struct Arguments {
  std::string where;
  int attempt = 0;  // 0: the last
  bool follow = false;
  bool path = false;
};

std::string outcome_of(const AttemptDetail& attempt) {
  if (attempt.outcome == "failed") return fmt::format("failed, {}: {}", attempt.cause, attempt.message);
  return attempt.outcome.empty() ? "running" : attempt.outcome;
}

void follow(const fs::path& log, const fs::path& lock) {
  std::size_t shown = 0;
  for (;;) {
    const bool alive = FileLock::is_held(lock);
    const std::string text = read_file_if_exists(log).value_or("");
    if (text.size() > shown) std::fwrite(text.data() + shown, 1, text.size() - shown, stdout);
    std::fflush(stdout);
    shown = text.size();
    if (!alive) return;
    std::this_thread::sleep_for(kFollowInterval);
  }
}

void show_job(const std::string& id, Ledger& ledger, const Arguments& arguments, const Globals& globals) {
  const JobDetail detail = ledger.job(id);
  const fs::path folder = globals.folders().job(id);
  fmt::print("{} {} ({})\n", id, detail.kind, name_of(detail.state));
  for (const std::string& cell : detail.cells) fmt::print("   {}\n", cell);
  for (const AttemptDetail& attempt : detail.attempts)
    fmt::print("   attempt {}: {}\n", attempt.number, outcome_of(attempt));
  const std::vector<int> attempts = attempts_of(folder);
  if (attempts.empty()) {
    fmt::print("   it has not been started\n");
    return;
  }
  const fs::path attempt = attempt_folder(folder, arguments.attempt > 0 ? arguments.attempt : attempts.back());
  const fs::path log = attempt / "log.txt";
  fmt::print("   {}\n", log.native());
  if (arguments.path) return;
  if (arguments.follow) {
    follow(log, attempt / "lock");
  } else {
    std::fputs(read_file_if_exists(log).value_or("").c_str(), stdout);
  }
}

int logs(const Arguments& arguments, const Globals& globals) {
  Database database = Database::open_for_reading(globals.database_path());
  Ledger ledger(database);
  const std::vector<std::string> jobs = ledger.find(arguments.where);
  if (jobs.empty()) {
    throw Error(ErrorCode::kNotFound, fmt::format("nothing is named by '{}'", arguments.where))
        .hint(
            "expected a job id or its beginning, or labels such as 'architecture=Samba,seed=3407'; 'mestre status "
            "SWEEP' lists the cells");
  }
  for (const std::string& job : jobs) show_job(job, ledger, arguments, globals);
  return kExitOk;
}

}  // namespace

void register_logs(CLI::App& app, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("logs", "what jobs wrote, and how their attempts ended");
  command->add_option("WHERE", arguments->where, "job id or its beginning, or labels")->required();
  command->add_option("--attempt", arguments->attempt, "number of the attempt; default: the last")
      ->check(CLI::PositiveNumber);
  command->add_flag("--follow", arguments->follow, "go on until the job ends");
  command->add_flag("--path", arguments->path, "only where the log is");
  command->footer("Example: mestre logs 'architecture=Samba,seed=3407'");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return logs(*arguments, globals); }; });
}

}  // namespace mestre
