// mestre plan: expands, checks and prices sweeps, and shows what would run.

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/error.h"
#include "runners/cli/dispatch.h"
#include "runners/cli/output.h"
#include "runners/cli/plan_cache.h"
#include "runners/cli/plan_context.h"
#include "runners/cli/plan_table.h"
#include "runners/cli/plan_why.h"
#include "runners/local/local_runner.h"

namespace mestre {
namespace {

constexpr double kWorthKeeping = 0.1;  // s; what takes less is as quickly done again

struct PlanArguments {
  std::vector<std::string> files;
  std::string why;  // a cell
  int slots = 0;    // 0: one per core
  bool cells = false;
  bool json = false;
  bool diff = false;
};

std::string shown_plan(const Plan& plan, const PlanArguments& arguments, const Globals& globals) {
  if (arguments.json) return plan_json(plan);
  if (arguments.cells) return cells_text(plan);
  if (arguments.diff) return diff_text(plan, globals);
  return plan_text(plan, arguments.slots);
}

// Nothing where there are errors, which then stand in `printed.err`.
bool plan_all(const PlanArguments& arguments, const Globals& globals, Diagnostics& diagnostics, Printed& printed) {
  const std::optional<std::vector<Plan>> plans = plan_files(arguments.files, globals, diagnostics);
  printed.err = diagnostics.render();
  if (!plans) return false;
  const bool is_list = arguments.json && plans->size() > 1;
  for (std::size_t i = 0; i < plans->size(); ++i) {
    printed.out += i > 0 ? (arguments.json ? ",\n" : "\n") : is_list ? "[\n" : "";
    printed.out += shown_plan((*plans)[i], arguments, globals);
  }
  if (is_list) printed.out += "]\n";
  return true;
}

// All that decides what is printed and is no file that planning reads.
std::string question_of(const PlanArguments& arguments, const Globals& globals) {
  const fs::path program = fs::read_symlink("/proc/self/exe");
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", program.native(), fs::file_size(program),
                     fs::last_write_time(program).time_since_epoch().count(), fs::current_path().native(),
                     globals.data_root, globals.database_path().native(), arguments.slots, arguments.cells,
                     arguments.json, arguments.diff, fmt::join(arguments.files, "\n"));
}

int print(const Printed& printed, int status) {
  put_note(printed.err);
  if (status == kExitOk) put_out(printed.out);
  return status;
}

int run(PlanArguments arguments, const Globals& globals) {
  const int answers =
      (arguments.cells ? 1 : 0) + (arguments.json ? 1 : 0) + (arguments.diff ? 1 : 0) + (arguments.why.empty() ? 0 : 1);
  if (answers > 1)
    throw Error(ErrorCode::kBadInput, "--cells, --json, --why and --diff are different answers")
        .hint("expected one of them");
  if (!arguments.why.empty()) {
    if (arguments.files.size() != 1)
      throw Error(ErrorCode::kBadInput, "--why explains a cell of one file").hint("name one sweep file");
    const std::optional<std::string> text = why_text(arguments.files.front(), arguments.why, globals);
    if (text) put_out(*text);
    return text ? kExitOk : kExitBadInput;
  }
  if (arguments.slots <= 0) arguments.slots = usable_cores();
  const PlanCache cache(fs::path(globals.workspace) / "cache" / "plan", question_of(arguments, globals));
  if (const std::optional<Printed> known = cache.find()) return print(*known, kExitOk);
  const double began = now_seconds();
  Diagnostics diagnostics;
  Printed printed;
  if (!plan_all(arguments, globals, diagnostics, printed)) return print(printed, kExitBadInput);
  if (now_seconds() - began >= kWorthKeeping) {
    const std::string store = globals.database_path().native();
    cache.keep(printed, {.texts = diagnostics.inputs(), .stores = {store, store + "-wal"}}, began);
  }
  return print(printed, kExitOk);
}

}  // namespace

void register_plan(CLI::App& app, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* command = app.add_subcommand("plan", "expand, check and price sweeps; nothing is run");
  command->add_option("FILE", arguments->files, "sweep files")->required();
  command->add_flag("--cells", arguments->cells, "list every cell with the ids and states of its jobs");
  command->add_flag("--json", arguments->json, "the whole plan for scripts: cells, jobs, specs, estimates, totals");
  command->add_option(
      "--why", arguments->why,
      "one cell, as 'architecture=Samba,seed=3407': what would run, why, and where each option comes from");
  command->add_flag("--diff", arguments->diff, "what the file adds, keeps, changes and orphans of what is recorded");
  command->add_option("--slots", arguments->slots, "CPU slots for the total time; default: one per core")
      ->check(CLI::Range(1, 4096));
  command->footer(
      "A mistake in a file is shown with its place, all of them at once, and the exit status is 2.\n"
      "Example: mestre plan experiments/quickstart.toml");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return run(*arguments, globals); }; });
}

}  // namespace mestre
