#include "core/train/validation.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/train/batches.h"
#include "core/train/device.h"
#include "core/train/scoring.h"

namespace mestre {

Validation::Validation(const Launch& launch, const TrainJob& job)
    : corpus_(open_corpus(launch, launch.validation, launch.validation_digest)),
      interval_(launch.options.validation_interval),
      blocks_(launch.options.validation_blocks),
      lengths_(launch.options.validation_lengths) {
  if (lengths_.empty()) lengths_ = {job.train.sequence_length};
  for (const std::int64_t length : lengths_) names_.push_back(fmt::format("validation_loss.{}", length));
  const DataIdentity& text = corpus_.manifest().identity;
  if (text.tokenizer != job.data.tokenizer || text.vocabulary != job.data.vocabulary)
    throw JobFailure(Cause::kData, fmt::format("'{}' is in the tokenizer '{}', expected '{}', which the model reads",
                                               launch.validation, text.tokenizer, job.data.tokenizer));
  if (const std::int64_t there = corpus_.tokens() / (lengths_.back() + 1); there < blocks_)
    throw JobFailure(Cause::kData, fmt::format("'{}' has {} blocks of {} tokens, expected at least {}",
                                               launch.validation, there, lengths_.back() + 1, blocks_));
}

std::vector<Metric> Validation::measure(LanguageModel& model, at::Device device, bool bfloat16) const {
  const Autocast autocast(device, bfloat16);
  std::vector<double> sums(lengths_.size());
  const std::int64_t pass = blocks_per_pass(lengths_.back());
  for (std::int64_t first = 0; first < blocks_; first += pass) {
    const auto more = summed_losses(model, corpus_, device, lengths_, first, std::min(pass, blocks_ - first));
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += more[i];
  }
  std::vector<Metric> found;
  for (std::size_t i = 0; i < sums.size(); ++i)
    found.emplace_back(names_[i], sums[i] / static_cast<double>(blocks_ * lengths_[i]));
  return found;
}

}  // namespace mestre
