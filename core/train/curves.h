// What a training writes down of itself at points of its curves: loss, speed, memory, and what single layers do.
//
// Names stand in the stores of users and are never renamed. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/language_model.h"
#include "core/train/checkpoint.h"
#include "core/train/job_context.h"
#include "core/train/resources.h"

namespace mestre {

class Curves {
 public:
  /// `model` and `options` must outlive this; the model's parameters have their gradients.
  Curves(const LanguageModel& model, const TrainOptions& options, at::Device device);

  /// The first interval begins behind this step.
  void begin(std::int64_t step);
  /// Seconds in which nothing was trained.
  void skip(double seconds) { interval_.skip(seconds); }

  /// A point at the state's step, which ends an interval: loss (nats per token, mean over the interval's steps that
  /// were taken), learning_rate, gradient_norm, tokens_per_second, flops_per_second, flop_utilization (share of the
  /// GPU's dense peak in the precision of the products, where the GPU is known), peak_memory_bytes,
  /// peak_device_memory_bytes on a GPU, spikes where there were any.
  [[nodiscard]] std::vector<Metric> point(TrainingState& state, double gradient_norm);

  /// Of each layer, by name ("layer.3.gradient_norm"): norms of gradients and weights, and the root of the mean square
  /// of the residual stream behind it (`residuals` as ForwardOptions gives them). The names live as long as this.
  [[nodiscard]] std::vector<Metric> layers(const std::vector<at::Tensor>& residuals) const;

 private:
  struct Layer {
    std::string gradient_norm, weight_norm, residual_rms;  // names
    std::vector<at::Tensor> parameters;
  };

  const TrainOptions& options_;
  at::Device device_;
  double flops_per_token_;
  double peak_flops_ = 0;  // 0: not known
  std::vector<Layer> layers_;
  std::int64_t interval_start_ = 0;  // step
  Stopwatch interval_;
};

}  // namespace mestre
