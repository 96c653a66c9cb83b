// What the loops of the causal convolution can hold.
#pragma once

#include <cstdint>

namespace mestre::kernels {

constexpr std::int64_t kMostTaps = 64;

}  // namespace mestre::kernels
