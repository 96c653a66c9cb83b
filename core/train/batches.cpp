#include "core/train/batches.h"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/train/device.h"
#include "core/train/job_context.h"

namespace mestre {

namespace {

// Plain loops, no operation of Torch's: a thread that reads ahead must not start a team of threads of its own.
void read_block(const PackedCorpus& corpus, std::int64_t begin, std::span<std::int64_t> tokens,
                std::span<std::int64_t> targets) {
  corpus.read(begin, tokens);
  std::copy(tokens.begin() + 1, tokens.end(), targets.begin());
  corpus.read(begin + static_cast<std::int64_t>(tokens.size()), targets.last(1));
  const std::int64_t vocabulary = corpus.manifest().identity.vocabulary;
  const std::int64_t largest = std::max(tokens.front(), *std::max_element(targets.begin(), targets.end()));
  if (largest >= vocabulary)
    throw JobFailure(Cause::kData,
                     fmt::format("the text holds token {}, but its manifest knows {} tokens", largest, vocabulary));
}

}  // namespace

Batch read_blocks(const PackedCorpus& corpus, std::span<const std::int64_t> begins, std::int64_t length,
                  at::Device device) {
  const auto count = static_cast<std::int64_t>(begins.size());
  const auto width = static_cast<std::size_t>(length);
  Batch batch = {.tokens = host_tensor({count, length}, at::kLong, device),
                 .targets = host_tensor({count, length}, at::kLong, device)};
  auto* tokens = batch.tokens.mutable_data_ptr<std::int64_t>();
  auto* targets = batch.targets.mutable_data_ptr<std::int64_t>();
  for (const std::int64_t begin : begins) {
    read_block(corpus, begin, {tokens, width}, {targets, width});
    tokens += length;
    targets += length;
  }
  return batch;
}

Batch on_device(const Batch& batch, at::Device device) {
  if (device.is_cpu()) return batch;
  const auto copy = [&](const at::Tensor& tensor) { return tensor.to(device, tensor.scalar_type(), true); };
  return {.tokens = copy(batch.tokens), .targets = copy(batch.targets)};
}

Batches::Batches(const PackedCorpus& corpus, const TrainOptions& options, at::Device device)
    : corpus_(&corpus),
      length_(options.sequence_length),
      sampler_(corpus.tokens(), options.sequence_length, options.seed_data),
      device_(device) {}

Batch Batches::read(std::int64_t first, std::int64_t count) const {
  std::vector<std::int64_t> begins;
  for (std::int64_t sequence = first; sequence < first + count; ++sequence) begins.push_back(sampler_.begin(sequence));
  return read_blocks(*corpus_, begins, length_, device_);
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
