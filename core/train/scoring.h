// What a model loses on packed text, at several context lengths at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <c10/core/Device.h>

#include "core/data/packed.h"
#include "core/model/language_model.h"

namespace mestre {

/// How many blocks of `length` tokens one forward pass takes, so that short ones do not go one by one.
[[nodiscard]] std::int64_t blocks_per_pass(std::int64_t length);

/// Negative log-likelihoods, nats, summed over the first lengths[i] tokens of the blocks [first, first + count); block
/// b has the tokens from b (longest + 1) on. One forward pass of the longest length serves all: a causal model predicts
/// the first tokens of a block the same, whatever follows. `lengths` ascend. Throws JobFailure (data) as read_blocks.
[[nodiscard]] std::vector<double> summed_losses(LanguageModel& model, const PackedCorpus& corpus, at::Device device,
                                                std::span<const std::int64_t> lengths, std::int64_t first,
                                                std::int64_t count);

}  // namespace mestre
