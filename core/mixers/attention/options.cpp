#include "core/mixers/attention/options.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/mixers/short_convolution.h"

namespace mestre {

void AttentionOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "heads", .doc = "query heads", .unit = Unit::kCount, .min = 1, .max = 4096, .required = true},
                heads);
  visitor.visit({.name = "kv_heads",
                 .doc = "key-value heads; 0: as many as query heads",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 4096},
                kv_heads);
  visitor.visit({.name = "window",
                 .doc = "keys that a query sees, itself included; 0: all before it",
                 .unit = Unit::kTokens,
                 .min = 0,
                 .max = 1 << 30},
                window);
  visitor.visit({.name = "rope", .doc = "rotary position embedding on queries and keys"}, rope);
  visitor.visit({.name = "rope_base", .doc = "base of the rotary frequencies", .min = 1}, rope_base);
  describe_short_convolution(visitor, short_convolution);
}

void AttentionOptions::resolve(const ModelShape&) {
  if (kv_heads == 0) kv_heads = heads;
}

void AttentionOptions::check(const ModelShape& shape, const Problem& problem) const {
  if (heads <= 0) return;  // reported as missing or out of range already
  if (shape.width % heads != 0) {
    problem("heads", fmt::format("{} heads do not divide the model width {}", heads, shape.width),
            "expected a divisor of the width");
  } else if (rope && head_size(shape) % 2 != 0) {
    problem("rope", fmt::format("RoPE pairs elements, but a head has {} of them", head_size(shape)),
            "expected an even head size (width / heads)");
  }
  if (kv_heads > 0 && heads % kv_heads != 0)
    problem("kv_heads", fmt::format("{} key-value heads do not divide {} query heads", kv_heads, heads),
            "expected a divisor of heads");
}

std::int64_t AttentionOptions::dense_parameters(const ModelShape& shape) const {
  return shape.width * channels(shape) + heads * head_size(shape) * shape.width;
}

std::int64_t AttentionOptions::parameters(const ModelShape& shape) const {
  return dense_parameters(shape) + short_convolution_parameters(short_convolution, channels(shape));
}

double AttentionOptions::mean_visible_keys(std::int64_t length) const {
  const auto n = static_cast<double>(length);
  const double w = window > 0 ? std::min(static_cast<double>(window), n) : n;
  return (w * (w + 1) / 2 + (n - w) * w) / n;
}

double AttentionOptions::forward_flops(const ModelShape& shape, std::int64_t length) const {
  const double scores_and_values = 2.0 * 2.0 * static_cast<double>(shape.width) * mean_visible_keys(length);
  return 2.0 * static_cast<double>(parameters(shape)) + scores_and_values;
}

double AttentionOptions::activation_bytes(const ModelShape& shape, std::int64_t, double element) const {
  // q, k, v, the output of attention, and the normalised input; the scores are recomputed.
  const double kept = static_cast<double>(head_size(shape)) * static_cast<double>(2 * heads + 2 * kv_heads);
  return (kept + short_convolution_kept(short_convolution, channels(shape)) + static_cast<double>(shape.width)) *
         element;
}

}  // namespace mestre
