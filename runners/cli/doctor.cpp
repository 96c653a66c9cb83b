// mestre doctor: what works on this machine, what is missing, and how to get it.

#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "analysis/table.h"
#include "core/base/build_info.h"
#include "core/base/diagnostics.h"
#include "core/base/error.h"
#include "core/base/options.h"
#include "core/base/units.h"
#include "runners/cli/command.h"
#include "runners/cli/output.h"
#include "runners/cli/probe.h"
#include "runners/cli/worker_catalog.h"
#include "runners/local/local_runner.h"
#include "store/database.h"

namespace mestre {
namespace {

// Loading Torch from a cold disk takes seconds; a driver that is going to answer does so within two.
constexpr std::chrono::seconds kWorkerLimit{20};
constexpr double kLittleSpace = 1e9;  // bytes

enum class State {
  kOk,
  kMissing,  // something that local runs on the CPU can do without
  kBroken,   // they cannot
};

std::string_view name_of(State state) {
  switch (state) {
    case State::kOk:
      return "ok";
    case State::kMissing:
      return "missing";
    case State::kBroken:
      return "broken";
  }
  return "broken";
}

struct Check {
  std::string name;
  State state;
  std::string found;
  std::string remedy;  // empty where ok
};

std::string first_line(std::string_view text) {
  return escaped(text.substr(0, text.find('\n')));
}

// Why a program gave no answer.
std::string trouble_of(std::string_view program, const Answer& answer) {
  switch (answer.kind) {
    case Answer::Kind::kNotFound:
      return fmt::format("no {}", program);
    case Answer::Kind::kTimedOut:
      return fmt::format("{} does not answer", program);
    case Answer::Kind::kSignalled:
      return fmt::format("{} was killed by signal {}", program, answer.value);
    case Answer::Kind::kExited:
      break;
  }
  const std::string said = first_line(answer.errors.empty() ? answer.output : answer.errors);
  return said.empty() ? fmt::format("{} ended with status {}", program, answer.value) : said;
}

Check compiler_check(const Answer& answer) {
  if (answer.is_success()) return {"compiler", State::kOk, first_line(answer.output), ""};
  return {"compiler", State::kMissing, trouble_of("c++", answer),
          "only building needs one: 'make build' installs or names it"};
}

Check worker_check(const fs::path& worker, const Answer& answer) {
  if (!answer.is_success())
    return {"worker", State::kBroken, trouble_of(worker.native(), answer),
            "build it with 'make build', or name another in $MESTRE_WORKER"};
  try {
    const WorkerCatalog catalog = read_worker_catalog(answer.output);
    if (catalog.disagreement.empty()) return {"worker", State::kOk, catalog.build, ""};
    return {"worker", State::kBroken, catalog.disagreement,
            "build mestre and mestre-worker from the same commit: 'make build'"};
  } catch (const Error& error) {
    return {"worker", State::kBroken, error.message(), error.hints().front()};
  }
}

Check gpu_check(const Answer& answer) {
  static constexpr const char* kRemedy = "jobs run on the CPU; for GPUs install NVIDIA's driver";
  if (!answer.is_success()) return {"GPUs", State::kMissing, trouble_of("nvidia-smi", answer), kRemedy};
  const auto count = std::count(answer.output.begin(), answer.output.end(), '\n');
  if (count == 0) return {"GPUs", State::kMissing, "none", kRemedy};
  return {"GPUs", State::kOk, fmt::format("{} x {}", count, first_line(answer.output)), ""};
}

Check figures_check(const Answer& answer) {
  if (answer.is_success()) return {"figures", State::kOk, first_line(answer.output), ""};
  return {"figures", State::kMissing, trouble_of("gnuplot", answer),
          "reports come without figures; install gnuplot (Debian: gnuplot-nox)"};
}

Check slurm_check(const Answer& sbatch, const Answer& squeue) {
  static constexpr const char* kRemedy = "jobs run on this machine, without it";
  if (!sbatch.is_success()) return {"Slurm", State::kMissing, trouble_of("sbatch", sbatch), kRemedy};
  if (!squeue.is_success()) return {"Slurm", State::kMissing, trouble_of("squeue", squeue), kRemedy};
  return {"Slurm", State::kOk, first_line(sbatch.output), ""};
}

// The folder itself, or where it is not there yet, the one in which it would be made.
fs::path nearest_existing(const fs::path& path) {
  std::error_code ignored;
  fs::path folder = fs::absolute(path, ignored);
  while (!fs::exists(folder, ignored) && folder.has_relative_path()) folder = folder.parent_path();
  return folder;
}

std::string file_system_name(long magic) {
  if (const std::string_view network = network_file_system(magic); !network.empty()) return std::string(network);
  static constexpr std::array<std::pair<long, const char*>, 8> kNames = {{{0xEF53, "ext4"},
                                                                          {0x58465342, "xfs"},
                                                                          {0x9123683E, "btrfs"},
                                                                          {0x01021994, "tmpfs"},
                                                                          {0x794C7630, "overlay"},
                                                                          {0x2FC12FC1, "zfs"},
                                                                          {0xF2F52010, "f2fs"},
                                                                          {0x4D44, "vfat"}}};
  for (const auto& [number, name] : kNames)
    if (number == magic) return name;
  return fmt::format("file system {:#x}", magic);
}

Check workspace_check(const Globals& globals) {
  const fs::path folder = nearest_existing(globals.folders().root);
  const fs::path store = nearest_existing(globals.database_path().parent_path());
  struct statfs status {};
  struct statfs store_status {};
  struct statvfs space {};
  if (::statfs(folder.c_str(), &status) != 0 || ::statvfs(folder.c_str(), &space) != 0 ||
      ::statfs(store.c_str(), &store_status) != 0)
    return {"workspace", State::kBroken, "cannot look at " + folder.native(), "name another with --workspace"};
  const double free = static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize);
  const std::string found = fmt::format("{}: {}, {} free", globals.folders().root.native(),
                                        file_system_name(status.f_type), short_bytes(free));
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    return {"workspace", State::kBroken, found + ", not writable",
            "name a folder of your own with --workspace or $MESTRE_WORKSPACE"};
  if (!network_file_system(store_status.f_type).empty())
    return {"workspace", State::kBroken, found + ", on which SQLite's WAL fails",
            "keep the database on a local disk with --db"};
  if (free < kLittleSpace)
    return {"workspace", State::kMissing, found, "checkpoints need room: free some, or name another --workspace"};
  return {"workspace", State::kOk, found, ""};
}

// Corpora stand a folder or two below the root.
int count_manifests(const fs::path& root) {
  int count = 0;
  std::error_code problem;
  auto entry = fs::recursive_directory_iterator(root, fs::directory_options::skip_permission_denied, problem);
  for (; !problem && entry != fs::recursive_directory_iterator(); entry.increment(problem)) {
    if (entry.depth() >= 2) entry.disable_recursion_pending();
    if (entry->path().extension() == ".manifest") ++count;
  }
  return count;
}

Check data_check(const Globals& globals) {
  const int count = count_manifests(globals.data_root);
  if (count > 0) return {"data", State::kOk, fmt::format("{}: {} packed corpora", globals.data_root, count), ""};
  return {"data", State::kMissing, fmt::format("{}: no packed corpus", globals.data_root),
          "write one with 'mestre data prepare', or name another root with --data or $MESTRE_DATA"};
}

Check cores_check() {
  std::array<double, 1> load{};
  std::string found = fmt::format("{}", usable_cores());
  if (::getloadavg(load.data(), 1) == 1) found += fmt::format(", load {:.1f}", load[0]);
  return {"cores", State::kOk, found, ""};
}

std::vector<Check> examine(const Globals& globals) {
  std::string worker;
  std::string no_worker;
  try {
    worker = find_worker().native();
  } catch (const Error& error) {
    no_worker = error.message();
  }
  const char* compiler = std::getenv("CXX");
  const std::vector<Answer> answers = ask({
      {.command = {compiler != nullptr && *compiler != '\0' ? compiler : "c++", "--version"}},
      {.command = {worker.empty() ? "/nonexistent" : worker, "--catalog"}, .limit = kWorkerLimit},
      {.command = {"nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"}},
      {.command = {"gnuplot", "--version"}},
      {.command = {"sbatch", "--version"}},
      {.command = {"squeue", "--version"}},
  });
  return {
      worker.empty()
          ? Check{"worker", State::kBroken, no_worker, "build it with 'make build', or name one in $MESTRE_WORKER"}
          : worker_check(worker, answers[1]),
      workspace_check(globals),
      cores_check(),
      data_check(globals),
      figures_check(answers[3]),
      gpu_check(answers[2]),
      slurm_check(answers[4], answers[5]),
      compiler_check(answers[0]),
  };
}

std::string checks_json(const std::vector<Check>& checks, bool works) {
  std::string list = "[";
  for (const Check& check : checks) {
    JsonObject object;
    object.text("name", check.name)
        .text("state", name_of(check.state))
        .text("found", check.found)
        .text("remedy", check.remedy);
    if (list.size() > 1) list += ',';
    list += object.str();
  }
  JsonObject object;
  object.boolean("works", works).raw("checks", list + "]").text("version", build_info().version);
  return object.str();
}

void print_checks(const std::vector<Check>& checks, bool works) {
  Table table{.columns = {{.title = "check"}, {.title = "state"}, {.title = "found", .align = Align::kLeft}}};
  for (const Check& check : checks) table.add({check.name, name_of(check.state), check.found});
  put_out(to_text(table));
  for (const State state : {State::kBroken, State::kMissing})
    for (const Check& check : checks)
      if (check.state == state) print_out("{} {}: {}\n", check.name, name_of(state), check.remedy);
  print_out("{}\n", works ? "sweeps run here, on the local CPU at least"
                          : "sweeps cannot run here until what is broken is mended");
}

int doctor(const Globals& globals, bool json) {
  const std::vector<Check> checks = examine(globals);
  const bool works =
      std::none_of(checks.begin(), checks.end(), [](const Check& check) { return check.state == State::kBroken; });
  if (json)
    print_out("{}\n", checks_json(checks, works));
  else
    print_checks(checks, works);
  return works ? kExitOk : kExitEnvironment;
}

}  // namespace

void register_doctor(CLI::App& app, const Globals& globals, Action& chosen) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("doctor", "what works on this machine, what is missing, how to get it");
  command->add_flag("--json", *json, "for scripts");
  command->footer("Example: mestre doctor");
  command->callback([json, &globals, &chosen] { chosen = [json, &globals] { return doctor(globals, *json); }; });
}

}  // namespace mestre
