// mestre-worker: carries out one attempt of one job. Started by a runner; what it keeps to is in worker_contract.md.

#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/build_info.h"
#include "core/base/error.h"
#include "runners/worker/catalog.h"
#include "runners/worker/run.h"

namespace {

constexpr const char* kExample =
    "example:\n"
    "  mestre-worker run mestre-work/jobs/3f/3f0c…  --token 8d1e…\n"
    "  carries out the next attempt of that job, if launch.json in its folder holds the token;\n"
    "  the journal, the log and the checkpoints are in attempt-N beside it";

int run(int argc, char** argv) {
  CLI::App app("Carries out one attempt of one job: trains or evaluates, as its job.json says.", "mestre-worker");
  app.footer(kExample);
  app.set_version_flag(
      "--version", std::string(mestre::build_info().version) + " (" + std::string(mestre::build_info().commit) + ")");
  bool catalog = false;
  app.add_flag("--catalog", catalog, "print as JSON what this build can do, and in which versions");
  CLI::App* command = app.add_subcommand("run", "one attempt of the job in a folder");
  command->footer(kExample);
  std::string folder, token;
  command->add_option("JOB-FOLDER", folder, "the folder that holds job.json and launch.json")->required();
  command->add_option("--token", token, "of the submission that started this worker")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? mestre::kExitOk : mestre::kExitBadInput;
  }
  if (catalog) {
    fmt::print("{}\n", mestre::catalog_json());
    return mestre::kExitOk;
  }
  if (command->parsed()) return mestre::run_attempt(folder, token);
  fmt::print(stderr, "{}", app.help());
  return mestre::kExitBadInput;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const mestre::Error& error) {
    fmt::print(stderr, "{}", mestre::render(error));
    return mestre::exit_status_of(error.code());
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return mestre::kExitBug;
  }
}
