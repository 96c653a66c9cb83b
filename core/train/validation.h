// The loss of a model on held-out text while it is trained.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/data/packed.h"
#include "core/model/language_model.h"
#include "core/spec/job.h"
#include "core/train/job_context.h"

namespace mestre {

class Validation {
 public:
  /// Opens the text that launch.json names. Throws Error, JobFailure (data) where it is another than was planned, is in
  /// another tokenizer, or is too short.
  Validation(const Launch& launch, const TrainJob& job);

  [[nodiscard]] bool is_due(std::int64_t step) const { return step % interval_ == 0; }
  /// Losses by name ("validation_loss.4096"), nats per token, the longest length last; over the same blocks each time,
  /// in the precision of the training. The names live as long as this.
  [[nodiscard]] std::vector<Metric> measure(LanguageModel& model, at::Device device, bool bfloat16) const;

 private:
  PackedCorpus corpus_;
  std::int64_t interval_;
  std::int64_t blocks_;
  std::vector<std::int64_t> lengths_;
  std::vector<std::string> names_;
};

}  // namespace mestre
