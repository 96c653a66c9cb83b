// What the entropy measurements of one sweep found, and its figures.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "analysis/figure.h"
#include "analysis/sweep_results.h"

namespace mestre {

/// Values of one cell by the index of the block, one a head; of a quantity without heads one. NaN where not finite.
using LayerValues = std::map<std::int64_t, std::vector<double>>;

/// One quantity of one [[measure]].
struct EntropyResults {
  std::string name;                          // of the [[measure]]
  std::string quantity;                      // "attention_entropy", "selection_entropy"
  std::map<std::string, LayerValues> cells;  // by the name of the cell
};

/// Of finished jobs, sorted by name and quantity.
[[nodiscard]] std::vector<EntropyResults> read_entropies(Database& database, const std::string& sweep);

struct EntropyFigure {
  std::string name;  // "attention_entropy"; with that of the [[measure]] where it has one of its own
  std::string caption;
  Figure figure;
};
/// Entropy of each row against the layer, a figure for each of these results. A line is the mean over seeds and heads;
/// around it stands the spread over heads, from the least to the greatest, each averaged over seeds, or where there are
/// no heads the interval over seeds.
[[nodiscard]] std::vector<EntropyFigure> entropy_figures(const SweepResults& results,
                                                         const std::vector<EntropyResults>& entropies);

}  // namespace mestre
