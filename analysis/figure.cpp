// The data of a figure and the script that draws it.
//
// The script is complete in itself: each series is a data block of its own, so neither names nor paths of ours ever
// stand where gnuplot would interpret them. Texts are single-quoted with enhanced mode off, the one form in which only
// the quote itself has a meaning.
#include "analysis/figure.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "analysis/table.h"
#include "core/base/units.h"
#include "core/base/utf8.h"

namespace mestre {
namespace {

/// Okabe and Ito, "Color Universal Design" (2008), without the yellow that is too pale on white; dark and light
/// alternate.
constexpr std::array<std::string_view, 7> kColors = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                     "#E69F00", "#56B4E9", "#333333"};
constexpr std::array<int, 7> kMarkers = {7,  5, 9, 13,
                                         11, 6, 4};  // filled circle, square, triangles, diamond, then open ones
constexpr std::array<std::string_view, 5> kDashes = {"solid", "(14,4)", "(4,4)", "(14,4,4,4)", "(8,3)"};

constexpr double kFarApart = 4;    // largest over smallest value from which an axis is logarithmic
constexpr double kNarrowLog = 12;  // the same, below which a logarithmic axis has evenly spaced ticks
constexpr double kWideLog = 1e4;   // and above which it has none between the powers of ten

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  [[nodiscard]] bool empty() const { return low > high; }
};

/// On a logarithmic axis the ends of intervals that are not positive do not count.
Range y_range(const std::vector<Series>& series, bool logarithmic) {
  Range range;
  for (const Series& one : series)
    for (const auto* values : {&one.y, &one.low, &one.high})
      for (const double value : *values)
        if (!logarithmic || value > 0) range.add(value);
  return range;
}

/// A single-quoted text of gnuplot. Control characters and bytes that are not UTF-8 would make invalid XML, so they are
/// dropped.
std::string gnuplot_text(std::string_view text) {
  std::string out = "'";
  while (!text.empty()) {
    const CodePoint next = first_code_point(text);
    if (text.front() == '\'')
      out += "''";
    else if (text.front() == '\n' || text.front() == '\t')
      out += ' ';
    else if (next.value != kInvalidUtf8 && next.value >= 0x20 && next.value != 0x7F)
      out.append(text.substr(0, next.length));
    text.remove_prefix(next.length);
  }
  return out + "'";
}

std::string number(double value) {
  return std::isfinite(value) ? shortest(value) : "NaN";
}

/// 1, 2 or 5 times a power of ten that divides `span` into about `parts`.
double round_step(double span, double parts) {
  const double raw = span / parts;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * power) return factor * power;
  return 10 * power;
}

struct Tick {
  double at = 0;
  std::string label;
};

/// Round, evenly spaced, all with the same decimals.
std::vector<Tick> even_ticks(Range range, double parts) {
  const double step = round_step(range.high - range.low, parts);
  if (!(step > 1e-9 && step < 1e12)) return {};
  const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  std::vector<Tick> ticks;
  for (double i = std::ceil(range.low / step - 1e-9); i * step <= range.high + step * 1e-9; ++i) {
    const double at = i * step + 0.0;  // no negative zero
    ticks.push_back({at, decimals == 0 ? with_thousands(std::llround(at)) : fmt::format("{:.{}f}", at, decimals)});
  }
  return ticks;
}

/// Ticks that gnuplot would choose worse: its own on a logarithmic axis stand at powers of ten, of which a narrow range
/// may hold none, and on a linear one it mixes "3" with "2.8". None where its own will do.
std::vector<Tick> chosen_ticks(Range range, bool logarithmic) {
  if (!logarithmic) return even_ticks(range, 8);
  if (range.high / range.low < kNarrowLog) return even_ticks(range, 6);
  std::vector<Tick> ticks;
  if (range.high / range.low > kWideLog) return ticks;
  for (double power = std::pow(10, std::floor(std::log10(range.low))); power <= range.high; power *= 10)
    for (const double factor : {1.0, 2.0, 5.0})
      if (factor * power >= range.low * 0.999 && factor * power <= range.high * 1.001)
        ticks.push_back({factor * power, shown(factor * power)});
  return ticks;
}

bool has_interval(const Series& series) {
  return std::any_of(series.low.begin(), series.low.end(), [](double low) { return std::isfinite(low); });
}

/// `floor` is drawn for what lies below it: on a logarithmic axis an interval may reach down to where there is no
/// logarithm.
void append_data(std::string& out, const Figure& figure, double floor) {
  for (std::size_t i = 0; i < figure.series.size(); ++i) {
    const Series& series = figure.series[i];
    out += fmt::format("$series{} << end_of_data\n", i + 1);
    for (std::size_t k = 0; k < series.x.size(); ++k) {
      // A point without an interval gets one of no height, so that bars and bands are drawn for the others.
      const double low = k < series.low.size() && std::isfinite(series.low[k]) ? series.low[k] : series.y[k];
      const double high = k < series.high.size() && std::isfinite(series.high[k]) ? series.high[k] : series.y[k];
      out += fmt::format("{} {} {} {}\n", number(series.x[k]), number(series.y[k]), number(std::max(low, floor)),
                         number(high));
    }
    out += "end_of_data\n";
  }
}

void append_plot(std::string& out, const Figure& figure) {
  std::vector<std::string> layers;
  const bool band = figure.spread == Spread::kBand;
  const auto color = [](std::size_t i) { return kColors[i % kColors.size()]; };
  const auto for_each_interval = [&](auto&& layer) {
    for (std::size_t i = 0; i < figure.series.size(); ++i)
      if (has_interval(figure.series[i])) layers.push_back(layer(i));
  };
  if (band) {
    for_each_interval([&](std::size_t i) {
      return fmt::format(
          "$series{} using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder fillcolor rgb '{}' "
          "notitle",
          i + 1, color(i));
    });
  } else {
    for_each_interval([&](std::size_t i) {
      return fmt::format("$series{} using 1:2:3:4 with yerrorbars linecolor rgb '{}' linewidth 1.5 pointtype 0 notitle",
                         i + 1, color(i));
    });
  }
  for (std::size_t i = 0; i < figure.series.size(); ++i) {
    const std::string marker = band ? "" : fmt::format(" pointtype {} pointsize 0.8", kMarkers[i % kMarkers.size()]);
    layers.push_back(fmt::format("$series{} using 1:2 with {} linecolor rgb '{}' linewidth 2 dashtype {}{} title {}",
                                 i + 1, band ? "lines" : "linespoints", color(i), kDashes[i % kDashes.size()], marker,
                                 gnuplot_text(figure.series[i].name)));
  }
  out += "plot ";
  for (std::size_t i = 0; i < layers.size(); ++i) out += (i > 0 ? ", \\\n     " : "") + layers[i];
  out += "\n";
}

/// The axis covers the data with a little air, and begins at zero where they almost do; gnuplot's own choice would
/// round a logarithmic axis to whole decades.
Range covering(Range data, bool logarithmic) {
  if (logarithmic) {
    const double air = std::max(std::pow(data.high / data.low, 0.04), 1.01);
    return {.low = data.low / air, .high = data.high * air};
  }
  const double air = std::max((data.high - data.low) * 0.04, std::abs(data.high) * 1e-6 + 1e-12);
  const bool from_zero = data.low >= 0 && data.low < 0.05 * data.high;
  return {.low = from_zero ? 0 : data.low - air, .high = data.high + air};
}

void append_axis(std::string& out, std::string_view name, const FigureAxis& axis, Range range) {
  if (std::isfinite(axis.high)) range.high = std::min(range.high, axis.high);
  std::vector<Tick> ticks;
  for (const double tick : axis.ticks) ticks.push_back({tick, shortest(tick)});
  range = covering(range, axis.logarithmic);
  if (ticks.empty()) ticks = chosen_ticks(range, axis.logarithmic);
  out += fmt::format("set {}label {}\n", name, gnuplot_text(axis.title));
  if (axis.logarithmic) out += fmt::format("set logscale {}\n", name);
  out += fmt::format("set {}range [{}:{}]\n", name, number(range.low), number(range.high));
  if (ticks.empty()) return;
  out += fmt::format("set {}tics (", name);
  for (std::size_t i = 0; i < ticks.size(); ++i)
    out += fmt::format("{}{} {}", i > 0 ? ", " : "", gnuplot_text(ticks[i].label), number(ticks[i].at));
  out += ")\n";
}

}  // namespace

bool wants_logarithm(const std::vector<Series>& series) {
  Range range;
  for (const Series& one : series)
    for (const double value : one.y) range.add(value);
  return !range.empty() && range.low > 0 && range.high / range.low > kFarApart;
}

std::string to_csv(const Figure& figure) {
  Table table{.columns = {{.title = "series"}, {.title = "x"}, {.title = "y"}, {.title = "low"}, {.title = "high"}}};
  const auto cell = [](const std::vector<double>& values, std::size_t k) {
    return k < values.size() && std::isfinite(values[k]) ? Cell(values[k]) : Cell();
  };
  for (const Series& series : figure.series)
    for (std::size_t k = 0; k < series.x.size(); ++k)
      table.add({series.name, series.x[k], cell(series.y, k), cell(series.low, k), cell(series.high, k)});
  return to_csv(table);
}

std::string to_gnuplot(const Figure& whole) {
  Figure figure = whole;
  if (figure.series.size() > kMostSeries) {
    figure.title += fmt::format(" (the first {} of {} series)", kMostSeries, figure.series.size());
    figure.series.resize(kMostSeries);
  }
  Range x;
  for (const Series& series : figure.series)
    for (const double value : series.x) x.add(value);
  const Range y = y_range(figure.series, figure.y.logarithmic);
  std::string out = R"(# drawn by: gnuplot THIS-FILE > figure.svg
set encoding utf8
set terminal svg size 800,440 noenhanced font 'Helvetica,14' background rgb 'white' linewidth 1
set border 3 linecolor rgb '#888888'
set tics nomirror out scale 0.5 textcolor rgb '#333333'
set grid ytics linetype 1 linecolor rgb '#e3e3e3' linewidth 0.8
set key outside right center Left reverse samplen 3 spacing 1.3 noenhanced
set bars 1.5
)";
  out += fmt::format("set title {} noenhanced\n", gnuplot_text(figure.title));
  if (x.empty() || y.empty())
    return out +
           "set label 1 'no data' at graph 0.5,0.5 center\nset xrange [0:1]\nset yrange [0:1]\nplot NaN notitle\n";
  append_axis(out, "x", figure.x, x);
  append_axis(out, "y", figure.y, y);
  append_data(out, figure, figure.y.logarithmic ? y.low / 10 : -std::numeric_limits<double>::infinity());
  append_plot(out, figure);
  return out;
}

}  // namespace mestre
