// mestre data: corpora made, mixed, looked into, and carried to and from other programs.
#include "runners/cli/data.h"

#include <CLI/CLI.hpp>

namespace mestre {

fs::path find_manifest(const std::string& name, const Globals& globals) {
  const fs::path below = fs::path(globals.data_root) / name;
  return !fs::exists(name) && fs::exists(below) ? below : fs::path(name);
}

void register_data(CLI::App& app, const Globals& globals, Action& chosen) {
  CLI::App* command =
      app.add_subcommand("data", "text into packed corpora, mixtures of them, a look into them, and other formats");
  command->require_subcommand(1);
  command->footer("Example: mestre data prepare headers /usr/include --include '*.h' --holdout 0.02");
  register_data_prepare(*command, globals, chosen);
  register_data_mix(*command, globals, chosen);
  register_data_inspect(*command, globals, chosen);
  register_data_import(*command, globals, chosen);
  register_data_export(*command, globals, chosen);
}

}  // namespace mestre
