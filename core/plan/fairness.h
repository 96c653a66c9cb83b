// Whether a comparison is fair: what differs between a cell and its baseline besides what the sweep declares to vary.
// Pure.
//
// A sweep declares by its axes: what the points on which the two cells differ set, differs on purpose. Everything else
// is marked, and so is, however it was declared, a model of another size, or a comparison of models that were not given
// the same budget and text.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace mestre {

/// One side of a comparison.
struct FairnessFacts {
  std::int64_t parameters = 0;
  std::int64_t parameters_without_embeddings = 0;
  std::int64_t tokens = 0;  // of the training
  std::string data;         // digest of the training text
  std::string tokenizer;
  std::vector<std::pair<std::string, std::string>> options;  // "train.learning_rate", value as JSON; sorted by name
};

/// What the axes on which two cells differ set.
struct Declared {
  std::set<std::string> options;  // "train.learning_rate", "model.swa.window"
  bool model = false;             // another model as a whole (model.use)
  std::set<std::string>
      only_one_has;  // options that a [[when]] sets for one of the two: marked even inside another model

  [[nodiscard]] bool covers(const std::string& option) const { return options.contains(option); }
  /// Whether the comparison is one of models.
  [[nodiscard]] bool touches_model() const;
};

/// What stands in the way of comparing the two, a phrase each, from the cell's side; empty where the comparison is
/// fair. Sizes may differ by `tolerance`, as a share of the baseline's. The phrases are kept in the store with the
/// cell.
[[nodiscard]] std::vector<std::string> unfair(const FairnessFacts& cell, const FairnessFacts& baseline,
                                              const Declared& declared, double tolerance);

}  // namespace mestre
