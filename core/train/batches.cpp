#include "core/train/batches.h"

#include <algorithm>
#include <utility>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/train/device.h"
#include "core/train/job_context.h"

namespace mestre {

namespace {

void check_token(const PackedCorpus& corpus, std::int64_t largest) {
  const std::int64_t vocabulary = corpus.manifest().identity.vocabulary;
  if (largest >= vocabulary)
    throw JobFailure(Cause::kData,
                     fmt::format("the text holds token {}, but its manifest knows {} tokens", largest, vocabulary));
}

// Plain loops, no operation of Torch's: a thread that reads ahead must not start a team of threads of its own.
void read_block(const PackedCorpus& corpus, std::int64_t begin, std::span<std::int64_t> tokens,
                std::span<std::int64_t> targets) {
  corpus.read(begin, tokens);
  std::copy(tokens.begin() + 1, tokens.end(), targets.begin());
  corpus.read(begin + static_cast<std::int64_t>(tokens.size()), targets.last(1));
  check_token(corpus, std::max(tokens.front(), *std::max_element(targets.begin(), targets.end())));
}

// Memory for a batch, filled row by row.
class BatchRows {
 public:
  BatchRows(std::int64_t count, std::int64_t length, at::Device device)
      : batch_{.tokens = host_tensor({count, length}, at::kLong, device),
               .targets = host_tensor({count, length}, at::kLong, device)},
        tokens_(batch_.tokens.mutable_data_ptr<std::int64_t>()),
        targets_(batch_.targets.mutable_data_ptr<std::int64_t>()),
        length_(static_cast<std::size_t>(length)) {}
  void add(const PackedCorpus& corpus, std::int64_t begin) {
    read_block(corpus, begin, {tokens_, length_}, {targets_, length_});
    tokens_ += length_;
    targets_ += length_;
  }
  [[nodiscard]] const Batch& batch() const { return batch_; }

 private:
  Batch batch_;
  std::int64_t* tokens_;
  std::int64_t* targets_;
  std::size_t length_;
};

// What `open` makes of a manifest must be what the job was planned with.
auto open_checked(const Launch& launch, const std::string& name, const std::string& digest, const auto& open) {
  const fs::path manifest = fs::path(launch.data_root) / name;
  try {
    auto opened = open(manifest);
    const std::string& found = opened.manifest().identity.digest;
    if (found == digest) return opened;
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

}  // namespace

at::Tensor read_rows(const PackedCorpus& corpus, std::span<const std::int64_t> begins, std::int64_t length) {
  at::Tensor rows = at::empty({static_cast<std::int64_t>(begins.size()), length}, at::kLong);
  auto* row = rows.mutable_data_ptr<std::int64_t>();
  for (const std::int64_t begin : begins) {
    corpus.read(begin, {row, static_cast<std::size_t>(length)});
    check_token(corpus, *std::max_element(row, row + length));
    row += length;
  }
  return rows;
}

Batch read_blocks(const PackedCorpus& corpus, std::span<const std::int64_t> begins, std::int64_t length,
                  at::Device device) {
  BatchRows rows(static_cast<std::int64_t>(begins.size()), length, device);
  for (const std::int64_t begin : begins) rows.add(corpus, begin);
  return rows.batch();
}

Batch on_device(const Batch& batch, at::Device device) {
  if (device.is_cpu()) return batch;
  const auto copy = [&](const at::Tensor& tensor) { return tensor.to(device, tensor.scalar_type(), true); };
  return {.tokens = copy(batch.tokens), .targets = copy(batch.targets)};
}

Batches::Batches(TrainingText text, const TrainOptions& options, at::Device device)
    : text_(std::move(text)),
      order_(text_, options.sequence_length, options.seed_data),
      length_(options.sequence_length),
      device_(device) {}

Batch Batches::read(std::int64_t first, std::int64_t count) const {
  BatchRows rows(count, length_, device_);
  for (std::int64_t sequence = first; sequence < first + count; ++sequence) {
    const TextOrder::Block block = order_.block(sequence);
    rows.add(text_.corpora()[block.corpus], block.begin);
  }
  return rows.batch();
}

PackedCorpus open_corpus(const Launch& launch, const std::string& manifest, const std::string& digest) {
  return open_checked(launch, manifest, digest, [](const fs::path& file) { return PackedCorpus(file); });
}

PackedCorpus open_corpus(const Launch& launch, const DataIdentity& expected) {
  return open_corpus(launch, launch.data, expected.digest);
}

TrainingText open_text(const Launch& launch, const DataIdentity& expected) {
  return open_checked(launch, launch.data, expected.digest,
                      [&](const fs::path& file) { return TrainingText(file, launch.data_root); });
}

}  // namespace mestre
