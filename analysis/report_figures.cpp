// The figures of a report.
#include <algorithm>
#include <cmath>
#include <set>

#include "analysis/report.h"
#include "analysis/statistics.h"

namespace mestre {
namespace {

constexpr double kSettled = 0.1;       // share of the training after which the loss decides the height of its figure
constexpr double kWorthCutting = 1.2;  // cut only where that leaves the rest noticeably larger

void append_point(Series& series, double x, const std::vector<double>& values) {
  const Summary summary = summarize(values);
  series.x.push_back(x);
  series.y.push_back(summary.mean);
  series.low.push_back(summary.mean - summary.half_width);
  series.high.push_back(summary.mean + summary.half_width);
}

/// The sorted steps at which any of the curves has a point, dealt into at most kCurvePoints groups of neighbours.
struct Bins {
  std::vector<double> steps;
  std::size_t size = 1;
  [[nodiscard]] std::size_t of(double step) const {
    return static_cast<std::size_t>(std::lower_bound(steps.begin(), steps.end(), step) - steps.begin()) / size;
  }
  [[nodiscard]] std::size_t count() const { return (steps.size() + size - 1) / size; }
};

Bins bins_of(const std::vector<const Curve*>& curves) {
  std::set<double> steps;
  for (const Curve* curve : curves) steps.insert(curve->steps.begin(), curve->steps.end());
  Bins bins{.steps = {steps.begin(), steps.end()}};
  bins.size = std::max<std::size_t>(1, (bins.steps.size() + kCurvePoints - 1) / kCurvePoints);
  return bins;
}

struct Average {
  double sum = 0;
  double count = 0;
  void add(double value) {
    sum += value;
    ++count;
  }
  [[nodiscard]] double value() const { return sum / count; }
};

/// Each curve is averaged within each bin first, so that the interval is one over seeds and not over steps.
Series mean_curve(const std::string& name, const std::vector<const Curve*>& curves, double tokens_per_step) {
  const Bins bins = bins_of(curves);
  std::vector<Average> steps(bins.count());
  for (std::size_t i = 0; i < bins.steps.size(); ++i) steps[i / bins.size].add(bins.steps[i]);
  std::vector<std::vector<double>> values(bins.count());
  for (const Curve* curve : curves) {
    std::vector<Average> averages(bins.count());
    for (std::size_t i = 0; i < curve->steps.size(); ++i) averages[bins.of(curve->steps[i])].add(curve->values[i]);
    for (std::size_t bin = 0; bin < averages.size(); ++bin)
      if (averages[bin].count > 0) values[bin].push_back(averages[bin].value());
  }
  Series series{.name = name};
  for (std::size_t bin = 0; bin < values.size(); ++bin)
    append_point(series, steps[bin].value() * tokens_per_step, values[bin]);
  return series;
}

/// Tokens as thousands, millions or billions.
void scale_tokens(Figure& figure) {
  double most = 0;
  for (const Series& series : figure.series)
    for (const double x : series.x) most = std::max(most, x);
  const auto [factor, name] = most >= 2e9   ? std::pair{1e9, "billions"}
                              : most >= 2e6 ? std::pair{1e6, "millions"}
                                            : std::pair{1e3, "thousands"};
  for (Series& series : figure.series)
    for (double& x : series.x) x /= factor;
  figure.x.title = std::string("training tokens (").append(name).append(")");
}

/// Every loss begins at the logarithm of the vocabulary; where the axis held that too, the differences in the end would
/// be invisible.
double settled_top(const std::vector<Series>& all) {
  double last = 0;
  double top = 0;
  double settled = 0;
  for (const Series& series : all)
    for (const double x : series.x) last = std::max(last, x);
  for (const Series& series : all) {
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      const double high = std::isfinite(series.high[i]) ? series.high[i] : series.y[i];
      if (!std::isfinite(high)) continue;
      top = std::max(top, high);
      if (series.x[i] >= kSettled * last) settled = std::max(settled, high);
    }
  }
  return settled > 0 && top > kWorthCutting * settled ? settled : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::vector<std::pair<std::string, Figure>> perplexity_figures(const SweepResults& results) {
  std::vector<std::pair<std::string, Figure>> figures;
  for (const EvaluationResults& evaluation : results.evaluations) {
    if (evaluation.lengths.size() < 2) continue;
    Figure figure{.title = "Perplexity against context length",
                  .x = {.title = "context length (tokens)",
                        .logarithmic = true,
                        .ticks = {evaluation.lengths.begin(), evaluation.lengths.end()}},
                  .y = {.title = "perplexity"}};
    for (const SweepRow& row : results.rows) {
      Series series{.name = row.title};
      for (const std::int64_t length : evaluation.lengths) {
        std::vector<double> values;
        for (const std::size_t cell : row.cells) {
          const auto found = results.cells[cell].perplexity.find({evaluation.name, length});
          if (found != results.cells[cell].perplexity.end()) values.push_back(found->second);
        }
        if (!values.empty()) append_point(series, static_cast<double>(length), values);
      }
      if (!series.x.empty()) figure.series.push_back(std::move(series));
    }
    figure.y.logarithmic = wants_logarithm(figure.series);
    figures.emplace_back(evaluation.name, std::move(figure));
  }
  return figures;
}

Figure loss_figure(const SweepResults& results, const std::map<std::string, Curve>& curves) {
  Figure figure{.title = "Training loss", .x = {}, .y = {.title = "loss (nats per token)"}, .spread = Spread::kBand};
  for (const SweepRow& row : results.rows) {
    std::vector<const Curve*> of_row;
    for (const std::size_t cell : row.cells) {
      const auto found = curves.find(results.cells[cell].train_job);
      if (found != curves.end()) of_row.push_back(&found->second);
    }
    if (!of_row.empty())
      figure.series.push_back(mean_curve(row.title, of_row, results.cells[row.cells.front()].tokens_per_step));
  }
  scale_tokens(figure);
  figure.y.high = settled_top(figure.series);
  return figure;
}

}  // namespace mestre
