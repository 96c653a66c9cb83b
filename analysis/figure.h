// A figure as a value, and how it becomes files: its data as CSV, a gnuplot script that anyone can restyle, and the SVG
// that gnuplot draws.
//
// Pure but for write_figure. The same figure gives the same bytes with the same gnuplot. Colours are those of Okabe and
// Ito, which colour-blind readers can tell apart; dashes and markers differ too, so that a grey print still reads.
#pragma once

#include <cstddef>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace mestre {

namespace fs = std::filesystem;

struct FigureAxis {
  std::string title;  // with its unit: "training tokens (millions)"
  bool logarithmic = false;
  std::vector<double> ticks = {};  // exactly these are labelled; chosen by what is drawn where empty
  double high = std::numeric_limits<double>::quiet_NaN();  // the axis ends here though the data go on; not finite: it
                                                           // holds them all
};

struct Series {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;    // as many as x; a value that is not finite leaves a gap
  std::vector<double> low;  // the interval, as many as x or none; not finite where there is none
  std::vector<double> high;
};

enum class Spread { kBars, kBand };

struct Figure {
  std::string title;
  FigureAxis x;
  FigureAxis y;
  Spread spread = Spread::kBars;  // how intervals are drawn; lines with bars have markers too
  std::vector<Series> series;
};

/// Long form, full precision: series,x,y,low,high; a gap has empty fields.
[[nodiscard]] std::string to_csv(const Figure& figure);
/// Complete in itself: holds the data, prints SVG on stdout (`gnuplot FILE > figure.svg`). Of more than kMostSeries
/// series the first are drawn, and the title says so.
inline constexpr std::size_t kMostSeries = 24;
[[nodiscard]] std::string to_gnuplot(const Figure& figure);

/// True where the smallest and the largest value, all positive, lie so far apart that a linear axis would flatten the
/// small ones.
[[nodiscard]] bool wants_logarithm(const std::vector<Series>& series);

/// What write_figure left behind.
struct FigureFiles {
  fs::path csv;
  fs::path script;
  fs::path svg;         // empty where it could not be drawn
  std::string problem;  // why not, and what to do; empty where it was drawn
};

/// Writes STEM.csv, STEM.gnuplot and, through the program gnuplot, STEM.svg; the folder must exist. Each file is
/// replaced whole. A missing or failing gnuplot is no failure but a `problem`; throws Error where a file cannot be
/// written.
FigureFiles write_figure(const Figure& figure, const fs::path& stem);

}  // namespace mestre
