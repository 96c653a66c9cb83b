// mestre exec: one cell in the foreground, for debugging.

#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/units.h"
#include "core/journal/attempt.h"
#include "runners/cli/dispatch.h"
#include "runners/cli/output.h"

namespace mestre {
namespace {

struct ExecArguments {
  std::string file;
  std::string cell;
};

// Copies what the running job writes into its log to the terminal.
class LogFollower final : public RunObserver {
 public:
  void job_started(std::string_view name, const fs::path& folder) override {
    follow(name, folder, attempts_of(folder).size());
  }
  void job_adopted(std::string_view name, const fs::path& folder) override {
    follow(name, folder, attempts_of(folder).size() - 1);
  }
  void job_ended(const JobEnd& end) override {
    copy();
    if (!end.done) print_note("failed: {}\n", end.reason);
  }
  void problem(std::string_view message) override { print_note("warning: {}\n", message); }
  void tick(const RunSnapshot&) override { copy(); }

 private:
  void follow(std::string_view name, const fs::path& folder, std::size_t attempts_before) {
    print_note("--- {} in {}\n", name, folder.native());
    folder_ = folder;
    attempts_before_ = attempts_before;
    shown_ = 0;
  }

  void copy() {
    const std::vector<int> attempts = attempts_of(folder_);
    if (attempts.size() <= attempts_before_) return;
    const auto text = read_file_if_exists(attempt_folder(folder_, attempts.back()) / "log.txt");
    if (!text || text->size() <= shown_) return;
    put_out(std::string_view(*text).substr(shown_));
    flush_out();
    shown_ = text->size();
  }

  fs::path folder_;
  std::size_t attempts_before_ = 0;
  std::size_t shown_ = 0;
};

// 'architecture=Samba,seed=3407' in any order of the labels.
std::vector<std::string> labels_in(const std::string& cell) {
  std::vector<std::string> labels = CLI::detail::split(cell, ',');
  std::sort(labels.begin(), labels.end());
  return labels;
}

std::unordered_set<std::string> jobs_of_cell(const Plan& plan, const std::string& wanted) {
  std::vector<std::string> names;
  for (const PlannedCell& cell : plan.cells) {
    names.push_back(cell.name);
    if (labels_in(cell.name) != labels_in(wanted)) continue;
    std::unordered_set<std::string> jobs;
    for (const std::size_t index : cell.jobs) jobs.insert(plan.jobs[index].id);
    return jobs;
  }
  throw Error(ErrorCode::kNotFound, fmt::format("{} has no cell '{}'", plan.file, wanted))
      .hint(expected_one_of(wanted, names));
}

int exec(const ExecArguments& arguments, const Globals& globals) {
  const auto plans = plan_files({arguments.file}, globals);
  if (!plans) return kExitBadInput;
  require_data(*plans);
  LogFollower follower;
  const DispatchOptions options{.slots = 1, .retry_failed = true, .only = jobs_of_cell(plans->front(), arguments.cell)};
  const DispatchResult result = dispatch(*plans, globals, options, follower);
  if (result.interrupted) return kExitInterrupted;
  if (result.started == 0 && result.all_done) print_note("nothing to run: the cell is done\n");
  return result.all_done ? kExitOk : kExitJobFailed;
}

}  // namespace

void register_exec(CLI::App& app, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<ExecArguments>();
  CLI::App* command = app.add_subcommand("exec", "run one cell in the foreground and show what its jobs write");
  command->add_option("FILE", arguments->file, "sweep file")->required();
  command->add_option("CELL", arguments->cell, "its labels, as 'architecture=Samba,seed=3407'")->required();
  command->footer("Example: mestre exec experiments/quickstart.toml 'architecture=Samba,seed=3407'");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return exec(*arguments, globals); }; });
}

}  // namespace mestre
