// The "short convolution" option of attention, gla and retention: a causal depthwise convolution with SiLU on the
// queries, keys and values, without bias.
//
// It is described and counted once, here; `taps` is the value of the option, 0 where there is none.
#pragma once

#include <cstdint>

#include "core/base/options.h"

namespace mestre {

void describe_short_convolution(OptionVisitor& visitor, std::int64_t& taps);

/// Over `channels` channels in all; the forward pass costs two operations for each of them.
[[nodiscard]] inline std::int64_t short_convolution_parameters(std::int64_t taps, std::int64_t channels) {
  return taps * channels;
}

/// Elements kept per token for the backward pass: what goes in, beside what comes out and is counted by the mixer.
[[nodiscard]] inline double short_convolution_kept(std::int64_t taps, std::int64_t channels) {
  return taps > 0 ? static_cast<double>(channels) : 0.0;
}

}  // namespace mestre
