#include "core/tasks/entropy/run_estimator.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "kernels/attention_entropy/attention_entropy.h"

namespace mestre {
namespace {

constexpr std::int64_t kBlockElements = std::int64_t{1} << 22;  // of Delta, converted at a time: 32 MiB

}  // namespace

void EntropyEstimator::saw_attention(const at::Tensor& queries, const at::Tensor& keys, std::int64_t window,
                                     double scale) {
  const at::NoGradGuard no_gradient;
  const std::int64_t length = queries.size(1);
  const std::int64_t skipped = std::clamp<std::int64_t>(first_row_ - seen_rows_, 0, length);
  seen_rows_ += length;
  if (skipped == length) return;
  const at::Tensor entropies =
      kernels::attention_entropy(queries.narrow(1, skipped, length - skipped), keys, window, scale);
  const at::Tensor sum = entropies.sum(-1, false, at::kDouble);
  row_sum_ = row_sum_.defined() ? row_sum_ + sum : sum;
  counted_rows_ += length - skipped;
}

void EntropyEstimator::saw_delta(const at::Tensor& delta) {
  const at::NoGradGuard no_gradient;
  const std::int64_t length = delta.size(1);
  const std::int64_t rows = std::clamp<std::int64_t>(kBlockElements / (delta.size(0) * delta.size(2)), 1, length);
  if (!delta_sum_.defined()) {
    delta_sum_ = at::zeros({delta.size(0), delta.size(2)}, delta.options().dtype(at::kDouble));
    delta_log_sum_ = at::zeros_like(delta_sum_);
  }
  for (std::int64_t first = 0; first < length; first += rows) {
    const at::Tensor piece = delta.narrow(1, first, std::min(rows, length - first)).to(at::kDouble);
    delta_sum_ += piece.sum(1);
    delta_log_sum_ += at::xlogy(piece, piece).sum(1);
  }
  seen_tokens_ += length;
}

at::Tensor EntropyEstimator::attention_per_head() const {
  return row_sum_ / static_cast<double>(counted_rows_);
}

at::Tensor EntropyEstimator::selection() const {
  return (delta_sum_.log() - delta_log_sum_ / delta_sum_).mean(-1);
}

at::Tensor EntropyEstimator::delta_mean() const {
  return delta_sum_.mean(-1) / static_cast<double>(seen_tokens_);
}

}  // namespace mestre
