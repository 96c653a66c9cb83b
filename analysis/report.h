// A sweep's results as people read them: the main table, the figures, and a folder that holds them all.
//
// The table has the form of the study's Table 3: a row per experiment (repetitions that differ only in seeds are
// averaged), with parameters, training speed and the perplexity at each context length. Everything is made of what the
// store holds and nothing else, no clock and no host, so the same store gives the same bytes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "analysis/figure.h"
#include "analysis/sweep_results.h"
#include "analysis/table.h"

namespace mestre {

/// The main table: what `mestre run` and `mestre report` print. Its notes say which row is the baseline and which cells
/// are missing.
[[nodiscard]] Table main_table(const SweepResults& results);
/// The same, straight from the store. Throws Error (not_found) where there is no such sweep.
[[nodiscard]] Table main_table(Database& database, const std::string& sweep);

/// Every finished job with the attempt, commit, device and versions that produced it.
[[nodiscard]] Table jobs_table(const SweepResults& results);

/// Perplexity of each row against context length, one figure per evaluation with at least two lengths, by the
/// evaluation's name.
[[nodiscard]] std::vector<std::pair<std::string, Figure>> perplexity_figures(const SweepResults& results);

/// Training loss of each row against training tokens: the mean over seeds of at most kCurvePoints averages of
/// neighbouring points.
inline constexpr std::size_t kCurvePoints = 300;
[[nodiscard]] Figure loss_figure(const SweepResults& results, const std::map<std::string, Curve>& curves);

struct Report {
  Table main;
  fs::path markdown;                  // FOLDER/report.md
  std::vector<fs::path> files;        // all that were written, report.md first
  std::vector<std::string> problems;  // of drawing; the rest of the report is there all the same
};

/// Writes report.md, table.{md,csv,tex}, jobs.csv and figures/*.{svg,csv,gnuplot} into `folder`, which is made where it
/// is not there. Each file is replaced whole. `database` is asked for the curves and the entropies. Throws Error where
/// a file cannot be written.
Report write_report(Database& database, const SweepResults& results, const fs::path& folder);

}  // namespace mestre
