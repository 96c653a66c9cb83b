#include "core/mixers/mamba/options.h"

namespace mestre {

void MambaOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "expand",
                 .doc = "inner width E as a multiple of the model width",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 16},
                expand);
  visitor.visit({.name = "state", .doc = "state size N of each channel", .unit = Unit::kCount, .min = 1, .max = 64},
                state);
  visitor.visit({.name = "convolution",
                 .doc = "taps of the causal depthwise convolution",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 16},
                convolution);
  visitor.visit({.name = "rank",
                 .doc = "rank R of the step projection; 0: width / 16, rounded up",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1e6},
                rank);
}

void MambaOptions::resolve(const ModelShape& shape) {
  if (rank == 0) rank = (shape.width + 15) / 16;
}

void MambaOptions::check(const ModelShape&, const Problem&) const {}

std::int64_t MambaOptions::dense_parameters(const ModelShape& shape) const {
  const std::int64_t e = inner(shape);
  const std::int64_t in_and_out = shape.width * 2 * e + e * shape.width;
  const std::int64_t step_b_and_c = e * (rank + 2 * state) + rank * e;
  return in_and_out + step_b_and_c;
}

std::int64_t MambaOptions::parameters(const ModelShape& shape) const {
  const std::int64_t e = inner(shape);
  const std::int64_t convolution_and_bias = e * convolution + e;
  const std::int64_t step_bias = e;
  const std::int64_t a_and_d = e * state + e;
  return dense_parameters(shape) + convolution_and_bias + step_bias + a_and_d;
}

double MambaOptions::forward_flops(const ModelShape& shape, std::int64_t) const {
  const auto e = static_cast<double>(inner(shape));
  const auto n = static_cast<double>(state);
  const double scan = 7.0 * e * n;  // exp(delta A): 2, state: 3, C z: 2, for each channel and state
  return 2.0 * static_cast<double>(dense_parameters(shape)) + 2.0 * e * static_cast<double>(convolution) + scan;
}

double MambaOptions::activation_bytes(const ModelShape& shape, std::int64_t, double element) const {
  // normalised input, x and z, convolved u, delta, y, and the small r, B, C; the state is recomputed from sparse
  // checkpoints.
  const auto e = static_cast<double>(inner(shape));
  return (static_cast<double>(shape.width) + 5.0 * e + static_cast<double>(rank + 2 * state)) * element +
         e * static_cast<double>(state) / 16.0 * 4.0;
}

}  // namespace mestre
