// What the model reads: blocks of packed corpora, in training in the order of their sequences.
#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "core/data/packed.h"
#include "core/data/training_text.h"
#include "core/journal/attempt.h"
#include "core/spec/job.h"

namespace mestre {

struct Batch {
  at::Tensor tokens;   // [sequences, length] int64, contiguous
  at::Tensor targets;  // the same, one token further
};

/// Tokens [begin of each, + length) of `corpus`, [begins, length] int64. Throws JobFailure (data) where one is beyond
/// the manifest's vocabulary.
[[nodiscard]] at::Tensor read_rows(const PackedCorpus& corpus, std::span<const std::int64_t> begins,
                                   std::int64_t length);

/// Blocks [begin of each, + length + 1) of `corpus` as a batch in memory of the host, from which copies to `device` are
/// fast. Throws as read_rows.
[[nodiscard]] Batch read_blocks(const PackedCorpus& corpus, std::span<const std::int64_t> begins, std::int64_t length,
                                at::Device device = at::kCPU);

/// The same on the device. A copy to a GPU is only begun: what is asked of the device later finds it there.
[[nodiscard]] Batch on_device(const Batch& batch, at::Device device);

class Batches {
 public:
  /// `device` is where the batches are going.
  Batches(TrainingText text, const TrainOptions& options, at::Device device = at::kCPU);
  /// Sequences [first, first + count) of the whole run, in the host's memory.
  [[nodiscard]] Batch read(std::int64_t first, std::int64_t count) const;

 private:
  TrainingText text_;
  TextOrder order_;
  std::int64_t length_;
  at::Device device_;
};

/// Opens the corpus of a manifest, relative to the launch's data root. Throws JobFailure (data) where it is not there
/// or has another digest; Error where it is damaged.
[[nodiscard]] PackedCorpus open_corpus(const Launch& launch, const std::string& manifest, const std::string& digest);
/// The one that the job reads; for a training it may be a mixture.
[[nodiscard]] PackedCorpus open_corpus(const Launch& launch, const DataIdentity& expected);
[[nodiscard]] TrainingText open_text(const Launch& launch, const DataIdentity& expected);

}  // namespace mestre
