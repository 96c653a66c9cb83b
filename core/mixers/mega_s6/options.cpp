#include "core/mixers/mega_s6/options.h"

#include <fmt/format.h>

namespace mestre {

void MegaS6Options::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "chunk",
                 .doc = "tokens of a chunk, inside which attention looks back",
                 .unit = Unit::kTokens,
                 .min = 1,
                 .max = 1 << 30},
                chunk);
  visitor.visit({.name = "key_size",
                 .doc = "elements of the one head's queries and keys",
                 .unit = Unit::kCount,
                 .min = 2,
                 .max = 1e6},
                key_size);
  visitor.visit(
      {.name = "state", .doc = "state size N of each channel of S6", .unit = Unit::kCount, .min = 1, .max = 64}, state);
  visitor.visit({.name = "convolution",
                 .doc = "taps of S6's causal depthwise convolution",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 16},
                convolution);
  visitor.visit({.name = "rank",
                 .doc = "rank R of S6's step projection; 0: width / 32, rounded up",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1e6},
                rank);
}

void MegaS6Options::resolve(const ModelShape& shape) {
  if (rank == 0) rank = (shape.width + 31) / 32;
}

void MegaS6Options::check(const ModelShape&, const Problem& problem) const {
  if (key_size % 2 != 0)
    problem("key_size", fmt::format("the rotary bias pairs elements, but a key has {} of them", key_size),
            "expected an even key size");
}

std::int64_t MegaS6Options::dense_parameters(const ModelShape& shape) const {
  const std::int64_t d = shape.width;
  const std::int64_t value = d * d;
  const std::int64_t s6 = d * (rank + 2 * state) + rank * d;
  const std::int64_t gates_and_keys = d * (3 * d + key_size);  // u, r, hx, z
  const std::int64_t out = d * d;
  return value + s6 + gates_and_keys + out;
}

std::int64_t MegaS6Options::parameters(const ModelShape& shape) const {
  const std::int64_t d = shape.width;
  const std::int64_t s6 = (d * convolution + d) + d + (d * state + d);  // convolution and bias, b_dt, A and D
  const std::int64_t biases = d + (3 * d + key_size) + d;               // of the value, gates and keys, out
  const std::int64_t query_and_key = 2 * key_size + 2 * key_size;       // gamma and beta
  const std::int64_t positions = 2 * key_size;
  return dense_parameters(shape) + s6 + biases + query_and_key + positions;
}

double MegaS6Options::mean_visible_keys(std::int64_t length) const {
  const auto pairs = [](std::int64_t n) { return static_cast<double>(n) * static_cast<double>(n + 1) / 2; };
  const std::int64_t whole_chunks = length / chunk;
  return (static_cast<double>(whole_chunks) * pairs(chunk) + pairs(length % chunk)) / static_cast<double>(length);
}

double MegaS6Options::forward_flops(const ModelShape& shape, std::int64_t length) const {
  const auto d = static_cast<double>(shape.width);
  const double scan = 7.0 * d * static_cast<double>(state);  // as in mamba
  const double scores_and_values = 2.0 * (static_cast<double>(key_size) + d) * mean_visible_keys(length);
  return 2.0 * static_cast<double>(dense_parameters(shape)) + 2.0 * d * static_cast<double>(convolution) + scan +
         scores_and_values;
}

double MegaS6Options::activation_bytes(const ModelShape& shape, std::int64_t, double element) const {
  // normalised input, v; S6's convolved input, delta and output, m; u, r, hx; attention's output, that times r, and the
  // sum before its SiLU; z and the small r, B, C of S6. Its states are recomputed from sparse checkpoints, the scores
  // from z.
  const std::int64_t kept = 12 * shape.width + key_size + rank + 2 * state;
  const double states = static_cast<double>(shape.width) * static_cast<double>(state) / 16.0 * 4.0;
  return static_cast<double>(kept) * element + states;
}

}  // namespace mestre
