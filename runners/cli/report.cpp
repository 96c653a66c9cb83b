// mestre report: a sweep's table, figures and where they came from, in one folder.

#include "analysis/report.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/options.h"
#include "runners/cli/command.h"
#include "runners/cli/output.h"
#include "runners/cli/report_output.h"
#include "store/ledger.h"

namespace mestre {
namespace {

struct ReportArguments {
  std::string sweep;
  std::string output;  // empty: in the workspace
  bool json = false;
};

std::string json_of(const Report& report, const SweepResults& results) {
  std::string files;
  for (const fs::path& file : report.files)
    files += fmt::format("{}{}", files.empty() ? "" : ",", json_string(file.native()));
  std::string missing;
  for (const CellResults* cell : results.unfinished()) {
    if (!missing.empty()) missing += ',';
    missing += JsonObject().text("cell", cell->name).text("state", cell->state).text("cause", cell->cause).str();
  }
  std::string rows = to_json(report.main);
  rows.pop_back();
  return JsonObject()
      .text("sweep", results.name)
      .text("question", results.question)
      .text("report", report.markdown.native())
      .raw("files", fmt::format("[{}]", files))
      .raw("missing", fmt::format("[{}]", missing))
      .raw("rows", rows)
      .str();
}

void warn_of(const Report& report) {
  for (const std::string& problem : report.problems) print_note("warning: {}\n", problem);
}

int report(const ReportArguments& arguments, const Globals& globals) {
  Database database = Database::open_for_reading(globals.database_path());
  const std::string sweep = Ledger(database).resolve_sweep(arguments.sweep);
  const fs::path folder = arguments.output.empty() ? globals.folders().reports() / sweep : fs::path(arguments.output);
  if (!arguments.json) {
    show_report(sweep, globals, folder);
    return kExitOk;
  }
  const SweepResults results = read_sweep(database, sweep);
  const Report written = write_report(database, results, folder);
  print_out("{}\n", json_of(written, results));
  warn_of(written);
  return kExitOk;
}

}  // namespace

void show_report(const std::string& sweep, const Globals& globals, const fs::path& folder) {
  Database database = Database::open_for_reading(globals.database_path());
  const Report written = write_report(database, read_sweep(database, sweep), folder);
  print_out("{}\nreport: {}\n", to_text(written.main), written.markdown.native());
  warn_of(written);
}

void register_report(CLI::App& app, const Globals& globals, Action& chosen) {
  auto arguments = std::make_shared<ReportArguments>();
  CLI::App* command = app.add_subcommand("report", "tables and figures of a sweep, into one folder");
  command->add_option("SWEEP", arguments->sweep, "its name, or the path of its file")->required();
  command->add_option("--output", arguments->output, "folder to write into; default: reports/SWEEP in the workspace");
  command->add_flag("--json", arguments->json, "for scripts");
  command->footer(
      "Writes report.md, table.md, table.csv, table.tex, jobs.csv and figures/ (SVG, CSV and the gnuplot script of "
      "each).\n"
      "Only finished jobs count, and what is missing is said. The same results give the same bytes.\n\n"
      "Example: mestre report quickstart");
  command->callback(
      [arguments, &globals, &chosen] { chosen = [arguments, &globals] { return report(*arguments, globals); }; });
}

}  // namespace mestre
