// mestre: plans, dispatches, ingests, queries, reports. No Torch, so that it starts in milliseconds on a login node.

#include <csignal>
#include <cstdlib>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/build_info.h"
#include "core/base/error.h"
#include "runners/cli/commands.h"
#include "runners/cli/output.h"
#include "runners/cli/usage_error.h"

namespace mestre {
namespace {

std::string from_environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

int run_program(int argc, char** argv) {
  CLI::App app("Declares, runs and reports ablation sweeps of language models.", "mestre");
  app.set_version_flag("--version", fmt::format("mestre {} ({}{})", build_info().version, build_info().commit,
                                                build_info().dirty ? ", with local changes" : ""));
  app.footer("Example: mestre run experiments/quickstart.toml");
  app.require_subcommand(1);
  app.fallthrough();
  Globals globals{.workspace = from_environment("MESTRE_WORKSPACE", "./mestre-work"),
                  .database = "",
                  .data_root = from_environment("MESTRE_DATA", "./mestre-data")};
  app.add_option("--workspace", globals.workspace, "folder of jobs, sweeps and the database ($MESTRE_WORKSPACE)")
      ->capture_default_str();
  app.add_option("--db", globals.database, "the database, where it is not in the workspace");
  app.add_option("--data", globals.data_root, "folder of packed corpora ($MESTRE_DATA)")->capture_default_str();
  Action chosen;
  for (const RegisterCommand add : commands()) add(app, globals, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    std::ostringstream text;  // of --help, --version
    app.exit(asked, text, text);
    put_out(text.str());
    return kExitOk;
  } catch (const CLI::ParseError& mistake) {
    throw usage_error(mistake, app);
  }
  return chosen();
}

int run(int argc, char** argv) {
  const int status = run_program(argc, argv);
  flush_out();
  return status;
}

}  // namespace
}  // namespace mestre

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pager is a failed write, not a death in the middle of a commit
  mestre::keep_standard_streams();
  try {
    return mestre::run(argc, argv);
  } catch (const mestre::Error& error) {
    mestre::put_note(mestre::render(error));
    return mestre::exit_status_of(error.code());
  } catch (const std::bad_alloc&) {
    mestre::put_note("error: out of memory\n");
    return mestre::kExitEnvironment;
  } catch (const std::exception& bug) {
    mestre::print_note("error: {}\n   this is a bug of mestre; please report it with the command that you gave\n",
                       bug.what());
    return mestre::kExitBug;
  }
}
