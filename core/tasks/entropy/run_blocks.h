// What the layers of a model showed, by block and text by text: means with their standard errors.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "core/journal/writer.h"
#include "core/spec/model.h"
#include "core/tasks/entropy/options.h"
#include "core/tasks/entropy/run_estimator.h"

namespace mestre {

/// Mean and standard error of vectors that come one after the other, by Welford's recurrence.
class Moments {
 public:
  /// As many values as the first time.
  void add(std::span<const double> values);
  /// Adds each row of [texts, values].
  void add_rows(const at::Tensor& rows);

  [[nodiscard]] const std::vector<double>& mean() const { return mean_; }
  /// s / sqrt(n), with s the deviation of a sample; NaN where n = 1.
  [[nodiscard]] std::vector<double> standard_error() const;

 private:
  double count_ = 0;
  std::vector<double> mean_, squares_;  // squares_: sum of (x - mean)^2
};

class BlockEntropies {
 public:
  explicit BlockEntropies(const ModelSpec& model) : layers_per_block_(model.options.block_length()) {}

  /// What one batch of texts showed, an estimator a layer of the model.
  void add(std::span<const EntropyEstimator> layers);
  /// Ready for the journal. Blocks with equal numbers of heads share an array of `attention_entropy`.
  [[nodiscard]] std::vector<Measurement> measurements(const EntropyOptions& options) const;

 private:
  using Blocks = std::map<std::int64_t, Moments>;  // by index; those that have the quantity

  std::int64_t layers_per_block_;
  Blocks attention_, selection_, delta_mean_;
};

}  // namespace mestre
