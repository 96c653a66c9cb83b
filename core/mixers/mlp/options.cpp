#include "core/mixers/mlp/options.h"

namespace mestre {

void MlpOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "intermediate",
                 .doc = "width p between the projections",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 1e7,
                 .required = true},
                intermediate);
}

void MlpOptions::check(const ModelShape&, const Problem&) const {}

std::int64_t MlpOptions::dense_parameters(const ModelShape& shape) const {
  return 3 * shape.width * intermediate;
}

std::int64_t MlpOptions::parameters(const ModelShape& shape) const {
  return dense_parameters(shape);
}

double MlpOptions::forward_flops(const ModelShape& shape, std::int64_t) const {
  return 2.0 * static_cast<double>(parameters(shape));
}

double MlpOptions::activation_bytes(const ModelShape& shape, std::int64_t, double element) const {
  // the normalised input, both halves of the gate, and their product
  return (static_cast<double>(shape.width) + 3.0 * static_cast<double>(intermediate)) * element;
}

}  // namespace mestre
