// One cell of a sweep explained: whether it is there, what each of its options is, and where that was said.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/plan/plan.h"

namespace mestre {

struct OptionOrigin {
  std::string option;  // "train.learning_rate"
  std::string value;
  std::string
      origin;  // "sweep.toml:14", "sweep.toml:40, solved", "default", "worked out" (from other options or the data)
};

struct CellExplanation {
  std::string name;         // labels in the order of the axes
  std::string excluded_by;  // "sweep.toml:52"; empty: it is a cell of the grid
  std::vector<OptionOrigin> options;
};

/// `labels` as 'architecture=Samba,seed=3407', in any order; axes that exist for the cell must all be named. Nothing
/// where the sweep has errors, which are reported. Throws Error (not_found) where no cell has these labels.
[[nodiscard]] std::optional<CellExplanation> explain_cell(const std::string& file, const std::string& labels,
                                                          const PlanContext& context, Diagnostics& diagnostics);

}  // namespace mestre
