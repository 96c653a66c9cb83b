// mestre db: the store's file looked after.
#include <CLI/CLI.hpp>

#include "core/base/error.h"
#include "runners/cli/command.h"
#include "runners/cli/output.h"
#include "store/check.h"

namespace mestre {
namespace {

int check(const Globals& globals) {
  Database database = Database::open_for_reading(globals.database_path());
  const StoreCheck found = check_store(database, globals.folders());
  for (const std::string& problem : found.problems) print_out("{}\n", problem);
  print_note("{} attempts: {} lines, {} points, {} measurements compared with their journals; {} problem{}\n",
             with_thousands(found.attempts), with_thousands(found.lines), with_thousands(found.points),
             with_thousands(found.measurements), with_thousands(static_cast<std::int64_t>(found.problems.size())),
             found.problems.size() == 1 ? "" : "s");
  return found.problems.empty() ? kExitOk : kExitEnvironment;
}

int back_up(const std::string& target, const Globals& globals) {
  Database database = Database::open_for_reading(globals.database_path());
  back_up_store(database, target);
  print_note("'{}' is a copy of '{}'; read it with --db\n", target, globals.database_path().native());
  return kExitOk;
}

}  // namespace

void register_db(CLI::App& app, const Globals& globals, Action& chosen) {
  CLI::App* command = app.add_subcommand("db", "look after the store: check it, copy it");
  command->require_subcommand(1);
  command->footer("Example: mestre db check");

  CLI::App* checking = command->add_subcommand("check", "is the file sound, and does it hold what the journals say");
  checking->footer("Prints a line for each problem; exit status 3 where there is one.\nExample: mestre db check");
  checking->callback([&globals, &chosen] { chosen = [&globals] { return check(globals); }; });

  auto target = std::make_shared<std::string>();
  CLI::App* copying = command->add_subcommand("backup", "copy it into one file, also while jobs run");
  copying->add_option("FILE", *target, "a new file")->required();
  copying->footer("Example: mestre db backup /archive/samba-study.db");
  copying->callback([target, &globals, &chosen] { chosen = [target, &globals] { return back_up(*target, globals); }; });
}

}  // namespace mestre
