#include "core/mixers/retention/options.h"

#include <fmt/format.h>

#include "core/mixers/short_convolution.h"

namespace mestre {

void RetentionOptions::describe(OptionVisitor& visitor) {
  describe_expanded_heads(visitor, heads, key_expansion, value_expansion);
  visitor.visit({.name = "rope", .doc = "rotary position embedding on queries and keys"}, rope);
  visitor.visit({.name = "rope_base", .doc = "base of the rotary frequencies", .min = 1}, rope_base);
  describe_short_convolution(visitor, short_convolution);
}

void RetentionOptions::check(const ModelShape& shape, const Problem& problem) const {
  if (!check_expanded_heads(shape, heads, key_expansion, value_expansion, problem) || !rope) return;
  if (const std::int64_t size = sizes(shape).key_size(); size % 2 != 0)
    problem("rope", fmt::format("RoPE pairs elements, but a key has {} of them", size),
            "expected an even key size (key_expansion x width / heads)");
}

std::int64_t RetentionOptions::dense_parameters(const ModelShape& shape) const {
  const ExpandedHeads sizes = this->sizes(shape);
  const std::int64_t query_key_value = shape.width * sizes.channels();
  const std::int64_t gate_and_out = 2 * shape.width * sizes.value_width;
  return query_key_value + gate_and_out;
}

std::int64_t RetentionOptions::parameters(const ModelShape& shape) const {
  const ExpandedHeads sizes = this->sizes(shape);
  const std::int64_t norm = sizes.value_size();  // one for all heads; the decays are fixed
  return dense_parameters(shape) + norm + short_convolution_parameters(short_convolution, sizes.channels());
}

double RetentionOptions::forward_flops(const ModelShape& shape, std::int64_t) const {
  const ExpandedHeads sizes = this->sizes(shape);
  const std::int64_t multiplied =
      dense_parameters(shape) + short_convolution_parameters(short_convolution, sizes.channels());
  return 2.0 * static_cast<double>(multiplied) + sizes.recurrence_flops();
}

double RetentionOptions::activation_bytes(const ModelShape& shape, std::int64_t, double element) const {
  // normalised input; q, k; v, its gate, the output before and after norm and gate; the states are computed again,
  // chunk by chunk.
  const ExpandedHeads sizes = this->sizes(shape);
  const std::int64_t kept = shape.width + 2 * sizes.key_width + 4 * sizes.value_width;
  return (static_cast<double>(kept) + short_convolution_kept(short_convolution, sizes.channels())) * element;
}

}  // namespace mestre
