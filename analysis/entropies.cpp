#include "analysis/entropies.h"

#include <algorithm>
#include <limits>
#include <set>

#include <fmt/format.h>

#include "analysis/answers.h"
#include "analysis/statistics.h"

namespace mestre {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr const char* kAttention = "attention_entropy";
constexpr const char* kPlainName = "entropy";  // of a [[measure]] that was given no other
constexpr std::int64_t kMostTicks = 12;        // up to so many layers each has a tick

/// What stands at one place of a line.
struct Point {
  double mean, low, high;
};

/// `seeds` has the values of each cell, all with the same heads.
Point over_heads(const std::vector<std::vector<double>>& seeds) {
  std::vector<double> heads;
  for (std::size_t head = 0; head < seeds.front().size(); ++head) {
    std::vector<double> values;
    for (const std::vector<double>& seed : seeds) values.push_back(head < seed.size() ? seed[head] : kNaN);
    heads.push_back(mean(values));
  }
  const auto [least, greatest] = std::minmax_element(heads.begin(), heads.end());
  return {.mean = mean(heads), .low = *least, .high = *greatest};
}

Point over_seeds(const std::vector<std::vector<double>>& seeds) {
  std::vector<double> values;
  for (const std::vector<double>& seed : seeds) values.push_back(mean(seed));
  const Summary summary = summarize(values);
  return {.mean = summary.mean, .low = summary.mean - summary.half_width, .high = summary.mean + summary.half_width};
}

Series series_of(const SweepResults& results, const SweepRow& row, const EntropyResults& entropies) {
  std::map<std::int64_t, std::vector<std::vector<double>>> layers;
  for (const std::size_t cell : row.cells) {
    const auto found = entropies.cells.find(results.cells[cell].name);
    if (found == entropies.cells.end()) continue;
    for (const auto& [layer, values] : found->second) layers[layer].push_back(values);
  }
  Series series{.name = row.title};
  for (const auto& [layer, seeds] : layers) {
    const Point point = entropies.quantity == kAttention ? over_heads(seeds) : over_seeds(seeds);
    series.x.push_back(static_cast<double>(layer));
    series.y.push_back(point.mean);
    series.low.push_back(point.low);
    series.high.push_back(point.high);
  }
  return series;
}

std::vector<double> ticks_of(const std::vector<Series>& all) {
  double last = 0;
  for (const Series& series : all) last = std::max(last, series.x.back());
  std::vector<double> ticks;
  if (last < kMostTicks)
    for (double layer = 0; layer <= last; ++layer) ticks.push_back(layer);
  return ticks;
}

}  // namespace

std::vector<EntropyResults> read_entropies(Database& database, const std::string& sweep) {
  const QueryTable table = ask(database, R"(
      SELECT name, quantity, cell, layer, coalesce(head, 0), coalesce(value, non_finite)
      FROM entropies JOIN attempts USING (job, attempt)
      WHERE sweep = ?1 AND outcome = 'finished' AND quantity IN ('attention_entropy', 'selection_entropy')
      ORDER BY name, quantity, cell, layer, head)",
                               sweep);
  std::vector<EntropyResults> all;
  for (const auto& row : table.rows) {
    const std::string name = text_of(row[0]), quantity = text_of(row[1]);
    if (all.empty() || all.back().name != name || all.back().quantity != quantity)
      all.push_back({.name = name, .quantity = quantity, .cells = {}});
    std::vector<double>& heads = all.back().cells[text_of(row[2])][whole_of(row[3]).value_or(0)];
    const auto head = static_cast<std::size_t>(std::max<std::int64_t>(0, whole_of(row[4]).value_or(0)));
    if (heads.size() <= head) heads.resize(head + 1, kNaN);
    heads[head] = number_of(row[5]).value_or(kNaN);
  }
  return all;
}

std::vector<EntropyFigure> entropy_figures(const SweepResults& results, const std::vector<EntropyResults>& entropies) {
  std::vector<EntropyFigure> figures;
  for (const EntropyResults& each : entropies) {
    const bool is_attention = each.quantity == kAttention, is_plain = each.name == kPlainName;
    Figure figure{.title = is_attention ? "Entropy of attention by layer" : "Entropy of selection by layer",
                  .x = {.title = "layer (blocks of a mixer and its MLP, from 0)"},
                  .y = {.title = "entropy (nats)"}};
    if (!is_plain) figure.title += fmt::format(" ({})", each.name);
    for (const SweepRow& row : results.rows) {
      Series series = series_of(results, row, each);
      if (!series.x.empty()) figure.series.push_back(std::move(series));
    }
    if (figure.series.empty()) continue;
    figure.x.ticks = ticks_of(figure.series);
    figures.push_back({.name = is_plain ? each.quantity : each.quantity + "-" + each.name,
                       .caption = is_attention
                                      ? "Mean over seeds, texts, decoding steps and heads; bars reach from the "
                                        "least head to the greatest."
                                      : "Mean over seeds, texts and channels; bars are 95 % t intervals over "
                                        "seeds.",
                       .figure = std::move(figure)});
  }
  return figures;
}

}  // namespace mestre
