// The folder of a report.
#include "analysis/report.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <ctime>
#include <map>

#include <fmt/format.h>

#include "analysis/cells.h"
#include "analysis/entropies.h"
#include "core/base/files.h"
#include "core/base/units.h"

namespace mestre {
namespace {

/// "2026-11-23 08:39:00 UTC".
std::string utc(double seconds) {
  const auto whole = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&whole, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

/// Names of evaluations in names of files.
std::string file_name(std::string_view name) {
  std::string out;
  for (const char c : name) out += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' ? c : '-';
  return out;
}

/// "A" or "A (12 jobs), B (3 jobs)", in the order of the first.
template <class Describe>
std::string counted(const std::vector<Provenance>& jobs, Describe describe) {
  std::vector<std::pair<std::string, int>> counts;
  for (const Provenance& job : jobs) {
    const std::string text = describe(job);
    const auto found =
        std::find_if(counts.begin(), counts.end(), [&](const auto& entry) { return entry.first == text; });
    if (found == counts.end())
      counts.emplace_back(text, 1);
    else
      ++found->second;
  }
  if (counts.size() == 1) return counts.front().first;
  std::string out;
  for (const auto& [text, count] : counts) out += fmt::format("{}{} ({} jobs)", out.empty() ? "" : "; ", text, count);
  return out;
}

std::string or_unknown(const std::string& text) {
  return text.empty() ? "unknown" : text;
}

std::string commit_of(const Provenance& job) {
  return fmt::format("{}{}", or_unknown(job.commit.substr(0, 12)), job.dirty ? ", with uncommitted changes" : "");
}

Table provenance_table(const SweepResults& results) {
  Table table{.columns = {{.title = "what"}, {.title = "value"}}};
  table.add({"sweep file", results.file});
  table.add({"cells",
             fmt::format("{} of {} done", results.cells.size() - results.unfinished().size(), results.cells.size())});
  if (results.provenance.empty()) return table;
  double first = results.provenance.front().started_at;
  double last = 0;
  double training = 0;
  for (const Provenance& job : results.provenance) {
    first = std::min(first, job.started_at);
    last = std::max(last, job.ended_at);
    if (job.kind == "train") training += job.ended_at - job.started_at;
  }
  table.add({"commit", counted(results.provenance, commit_of)});
  table.add({"versions", counted(results.provenance, [](const Provenance& job) { return or_unknown(job.versions); })});
  table.add({"devices", counted(results.provenance, [](const Provenance& job) { return or_unknown(job.devices); })});
  table.add({"hosts", counted(results.provenance, [](const Provenance& job) { return or_unknown(job.host); })});
  table.add({"first start", utc(first)});
  table.add({"last end", utc(last)});
  table.add({"training time", fmt::format("{}, summed over cells, last attempts only", short_duration(training))});
  return table;
}

std::string figure_section(const Figure& figure, const std::string& caption, const std::string& name,
                           const FigureFiles& files) {
  std::string out = fmt::format("## {}\n\n", markdown_text(figure.title));
  if (files.problem.empty()) out += fmt::format("![{}](figures/{}.svg)\n\n", markdown_text(figure.title), name);
  return out + fmt::format("{} Data: [CSV](figures/{}.csv); [script](figures/{}.gnuplot).\n\n", caption, name, name);
}

/// Collects the files of a report while they are written.
class Folder {
 public:
  explicit Folder(fs::path root, Report& report) : root_(std::move(root)), report_(report) {
    fs::create_directories(root_ / "figures");
  }

  fs::path write(const std::string& name, std::string_view bytes) {
    replace_file(root_ / name, bytes);
    report_.files.push_back(root_ / name);
    return root_ / name;
  }

  /// Writes the figure and returns its section of the report.
  std::string add(const Figure& figure, const std::string& caption, const std::string& name) {
    const FigureFiles files = write_figure(figure, root_ / "figures" / name);
    for (const fs::path& file : {files.svg, files.csv, files.script})
      if (!file.empty()) report_.files.push_back(file);
    if (!files.problem.empty()) report_.problems.push_back(files.problem);
    return figure_section(figure, caption, name, files);
  }

 private:
  fs::path root_;
  Report& report_;
};

std::string figures(Database& database, const SweepResults& results, Folder& folder) {
  std::string sections;
  for (const auto& [evaluation, figure] : perplexity_figures(results)) {
    const std::string scale =
        figure.y.logarithmic ? " Both axes are logarithmic." : " The horizontal axis is logarithmic.";
    const std::string name = evaluation == "perplexity" ? evaluation : "perplexity-" + file_name(evaluation);
    sections += folder.add(figure, "Mean over seeds; bars are 95 % t intervals." + scale, name);
  }
  for (const EntropyFigure& entropy : entropy_figures(results, read_entropies(database, results.name)))
    sections += folder.add(entropy.figure, entropy.caption, file_name(entropy.name));
  const Figure loss = loss_figure(results, read_curves(database, results.name, "loss"));
  std::string caption = fmt::format(
      "Mean over seeds of at most {} averages of neighbouring points; bands are 95 % t intervals.", kCurvePoints);
  if (std::isfinite(loss.y.high)) caption += " The start lies above the upper edge; the CSV has it.";
  return sections + folder.add(loss, caption, "loss");
}

}  // namespace

Report write_report(Database& database, const SweepResults& results, const fs::path& folder) {
  Report report{.main = main_table(results), .markdown = folder / "report.md"};
  Folder files(folder, report);
  report.files.push_back(report.markdown);
  const std::string sections = figures(database, results, files);
  files.write("table.md", to_markdown(report.main));
  files.write("table.csv", to_csv(report.main));
  files.write("table.tex", to_latex(report.main));
  files.write("jobs.csv", to_csv(jobs_table(results)));

  std::string text = fmt::format("# {}\n\n", markdown_text(results.name));
  if (!results.question.empty()) text += fmt::format("{}\n\n", markdown_text(results.question));
  text += to_markdown(report.main);
  text += "\nThe same as [CSV](table.csv) and [LaTeX](table.tex).\n\n";
  text += sections;
  text += "## How it was produced\n\n" + to_markdown(provenance_table(results));
  text += "\nEvery job, with its attempt, commit, device and versions: [jobs.csv](jobs.csv).\n";
  replace_file(report.markdown, text);
  return report;
}

}  // namespace mestre
