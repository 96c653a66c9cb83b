#include "core/train/batches.h"

#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/train/job_context.h"

namespace mestre {

Batch read_blocks(const PackedCorpus& corpus, std::span<const std::int64_t> begins, std::int64_t length) {
  const auto count = static_cast<std::int64_t>(begins.size());
  at::Tensor rows = at::empty({count, length + 1}, at::kLong);
  auto* row = rows.mutable_data_ptr<std::int64_t>();
  for (const std::int64_t begin : begins) {
    corpus.read(begin, {row, static_cast<std::size_t>(length + 1)});
    row += length + 1;
  }
  const std::int64_t vocabulary = corpus.manifest().identity.vocabulary, largest = rows.max().item<std::int64_t>();
  if (largest >= vocabulary)
    throw JobFailure(Cause::kData,
                     fmt::format("the text holds token {}, but its manifest knows {} tokens", largest, vocabulary));
  return {.tokens = rows.narrow(1, 0, length), .targets = rows.narrow(1, 1, length)};
}

Batch on_device(const Batch& batch, at::Device device) {
  return {.tokens = batch.tokens.to(device), .targets = batch.targets.to(device)};
}

Batches::Batches(const PackedCorpus& corpus, const TrainOptions& options)
    : corpus_(&corpus),
      length_(options.sequence_length),
      sampler_(corpus.tokens(), options.sequence_length, options.seed_data) {}

Batch Batches::read(std::int64_t first, std::int64_t count) const {
  std::vector<std::int64_t> begins;
  for (std::int64_t sequence = first; sequence < first + count; ++sequence) begins.push_back(sampler_.begin(sequence));
  return read_blocks(*corpus_, begins, length_);
}

PackedCorpus open_corpus(const Launch& launch, const DataIdentity& expected) {
  return open_corpus(launch, launch.data, expected.digest);
}

PackedCorpus open_corpus(const Launch& launch, const std::string& name, const std::string& digest) {
  const fs::path manifest = fs::path(launch.data_root) / name;
  try {
    PackedCorpus corpus(manifest);
    const std::string& found = corpus.manifest().identity.digest;
    if (found == digest) return corpus;
    throw JobFailure(
        Cause::kData,
        fmt::format(
            "'{}' holds other data than the job was planned with: expected the digest {}, found {}; prepare the data "
            "again as they were, or plan the sweep anew",
            manifest.native(), digest, found));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) throw JobFailure(Cause::kData, error.message());
    throw;
  }
}

}  // namespace mestre
