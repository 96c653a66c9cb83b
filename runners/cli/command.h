// What every command of `mestre` is given, and how it is added to the program.
//
// A command is one file that defines one register function; the table of them is in commands.cpp. A command parses its
// arguments with CLI11, does its work when chosen, prints results on stdout and the rest on stderr, and returns the
// exit status; failures are thrown as Error and caught in main.
#pragma once

#include <functional>
#include <string>

#include "core/journal/folders.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's
class App;
}

namespace mestre {

/// Options that stand before or after any command; valid once parsing is over.
struct Globals {
  std::string workspace;  // --workspace, else $MESTRE_WORKSPACE, else ./mestre-work
  std::string database;   // --db, else in the workspace
  std::string data_root;  // --data, else $MESTRE_DATA, else ./mestre-data
  [[nodiscard]] Workspace folders() const { return {workspace}; }
  [[nodiscard]] fs::path database_path() const { return database.empty() ? folders().database() : fs::path(database); }
};

/// Set by the chosen command's callback; main runs it after parsing.
using Action = std::function<int()>;
using RegisterCommand = void (*)(CLI::App& app, const Globals& globals, Action& chosen);

void register_catalog(CLI::App& app, const Globals& globals, Action& chosen);
void register_completion(CLI::App& app, const Globals& globals, Action& chosen);
void register_data(CLI::App& app, const Globals& globals, Action& chosen);
void register_db(CLI::App& app, const Globals& globals, Action& chosen);
void register_doctor(CLI::App& app, const Globals& globals, Action& chosen);
void register_exec(CLI::App& app, const Globals& globals, Action& chosen);
void register_logs(CLI::App& app, const Globals& globals, Action& chosen);
void register_plan(CLI::App& app, const Globals& globals, Action& chosen);
void register_query(CLI::App& app, const Globals& globals, Action& chosen);
void register_report(CLI::App& app, const Globals& globals, Action& chosen);
void register_run(CLI::App& app, const Globals& globals, Action& chosen);
void register_status(CLI::App& app, const Globals& globals, Action& chosen);

}  // namespace mestre
