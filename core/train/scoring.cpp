#include "core/train/scoring.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "core/train/batches.h"

namespace mestre {
namespace {

constexpr std::int64_t kTokensPerPass = 4096;

}  // namespace

std::int64_t blocks_per_pass(std::int64_t length) {
  return std::max<std::int64_t>(1, kTokensPerPass / length);
}

std::vector<double> summed_losses(LanguageModel& model, const PackedCorpus& corpus, at::Device device,
                                  std::span<const std::int64_t> lengths, std::int64_t first, std::int64_t count) {
  const at::NoGradGuard no_gradient;
  const std::int64_t longest = lengths.back();
  std::vector<std::int64_t> begins;
  for (std::int64_t block = first; block < first + count; ++block) begins.push_back(block * (longest + 1));
  const Batch batch = on_device(read_blocks(corpus, begins, longest), device);
  const at::Tensor nats = losses(model.forward(batch.tokens), batch.targets).to(at::kDouble);
  std::vector<double> sums;
  for (const std::int64_t length : lengths) sums.push_back(nats.narrow(1, 0, length).sum().item<double>());
  return sums;
}

}  // namespace mestre
