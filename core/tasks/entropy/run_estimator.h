// Estimates the entropies of one layer (README.md beside this file) from what it shows an observer, without ever
// holding a row of its probabilities: memory is linear in the length.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "core/model/mixer_module.h"

namespace mestre {

/// Sees one layer of a model while it reads texts of equal length, whole or in pieces that follow each other. The
/// entropy of each row comes from kernels/attention_entropy, in the type of the model; sums over rows and over time are
/// in fp64; nothing is recorded for gradients. Results are defined once something was seen; [B] is the batch.
class EntropyEstimator final : public MixerObserver {
 public:
  /// Attention is averaged over the rows from `first_row` on, counted from 0: the tokens before are the prompt.
  explicit EntropyEstimator(std::int64_t first_row) : first_row_(first_row) {}

  void saw_attention(const at::Tensor& queries, const at::Tensor& keys, std::int64_t window, double scale) override;
  void saw_delta(const at::Tensor& delta) override;

  /// Whether the layer showed attention of at least one of the rows.
  [[nodiscard]] bool has_attention() const { return counted_rows_ > 0; }
  [[nodiscard]] bool has_selection() const { return delta_sum_.defined(); }
  /// Mean over the rows of the entropy of each head, [B, h] fp64, nats.
  [[nodiscard]] at::Tensor attention_per_head() const;
  /// Mean over the channels of -sum_t D' log D' with D' = Delta / sum_t Delta, [B] fp64, nats. With S the sum over time
  /// that is log S - (1/S) sum_t Delta log Delta.
  [[nodiscard]] at::Tensor selection() const;
  /// Mean of Delta over time and channels, [B] fp64.
  [[nodiscard]] at::Tensor delta_mean() const;

 private:
  std::int64_t first_row_;
  std::int64_t seen_rows_ = 0, counted_rows_ = 0;
  at::Tensor row_sum_;                    // [B, h], over the counted rows
  std::int64_t seen_tokens_ = 0;          // by saw_delta
  at::Tensor delta_sum_, delta_log_sum_;  // [B, E], of Delta and of Delta log Delta
};

}  // namespace mestre
