#include "core/mixers/short_convolution.h"

namespace mestre {

void describe_short_convolution(OptionVisitor& visitor, std::int64_t& taps) {
  visitor.visit({.name = "short_convolution",
                 .doc = "taps of a causal convolution with SiLU on q, k and v; 0: none",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 16},
                taps);
}

}  // namespace mestre
