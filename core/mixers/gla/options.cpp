#include "core/mixers/gla/options.h"

#include "core/mixers/short_convolution.h"

namespace mestre {

void GlaOptions::describe(OptionVisitor& visitor) {
  describe_expanded_heads(visitor, heads, key_expansion, value_expansion);
  visitor.visit({.name = "gate_rank",
                 .doc = "rank of the projection from which the decay comes",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 1e6},
                gate_rank);
  visitor.visit({.name = "gate_temperature", .doc = "divides the logarithm of the decay", .min = 0.001, .max = 1e6},
                gate_temperature);
  describe_short_convolution(visitor, short_convolution);
}

void GlaOptions::check(const ModelShape& shape, const Problem& problem) const {
  check_expanded_heads(shape, heads, key_expansion, value_expansion, problem);
}

std::int64_t GlaOptions::dense_parameters(const ModelShape& shape) const {
  const ExpandedHeads sizes = this->sizes(shape);
  const std::int64_t query_key_value = shape.width * sizes.channels();
  const std::int64_t decay = shape.width * gate_rank + gate_rank * sizes.key_width;
  const std::int64_t gate_and_out = 2 * shape.width * sizes.value_width;
  return query_key_value + decay + gate_and_out;
}

std::int64_t GlaOptions::parameters(const ModelShape& shape) const {
  const ExpandedHeads sizes = this->sizes(shape);
  const std::int64_t decay_bias = sizes.key_width;
  const std::int64_t norm = sizes.value_size();  // one for all heads
  return dense_parameters(shape) + decay_bias + norm +
         short_convolution_parameters(short_convolution, sizes.channels());
}

double GlaOptions::forward_flops(const ModelShape& shape, std::int64_t) const {
  const ExpandedHeads sizes = this->sizes(shape);
  const std::int64_t multiplied =
      dense_parameters(shape) + short_convolution_parameters(short_convolution, sizes.channels());
  return 2.0 * static_cast<double>(multiplied) + sizes.recurrence_flops();
}

double GlaOptions::activation_bytes(const ModelShape& shape, std::int64_t, double element) const {
  // normalised input; q, k and the decay; v, its gate, the output before and after norm and gate; the small input of
  // the decay; the states are computed again, chunk by chunk.
  const ExpandedHeads sizes = this->sizes(shape);
  const std::int64_t kept = shape.width + 3 * sizes.key_width + 4 * sizes.value_width + gate_rank;
  return (static_cast<double>(kept) + short_convolution_kept(short_convolution, sizes.channels())) * element;
}

}  // namespace mestre
