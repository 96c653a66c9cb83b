#include "core/model/initialization.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "core/base/error.h"

namespace mestre {
namespace {

constexpr double kEmbeddingDeviation = 0.02;

// SplitMix64 (Steele, Lea, Flood 2014): a counter with a strong finaliser, so that any key starts a stream of its own.
class Stream {
 public:
  Stream(std::uint64_t seed, std::string_view name) : state_(mix(seed)) {
    for (const char character : name) state_ = mix(state_ ^ static_cast<unsigned char>(character));
  }

  /// Uniform in (0, 1), on the odd multiples of 2^-54.
  double uniform() {
    state_ += kStep;
    return (static_cast<double>(mix(state_) >> 11) + 0.5) * 0x1p-53;
  }

  /// Standard normal (Box and Muller); the second of each pair is dropped, for the sake of one value a draw.
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  static constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15;

  static std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
  }

  std::uint64_t state_;
};

template <class Draw>
void fill(at::Tensor& tensor, Draw draw) {
  std::vector<float> values(static_cast<std::size_t>(tensor.numel()));
  std::generate(values.begin(), values.end(), [&] { return static_cast<float>(draw()); });
  const at::NoGradGuard no_gradient;
  tensor.copy_(at::from_blob(values.data(), tensor.sizes(), at::kFloat));
}

}  // namespace

Initializer::Initializer(const ModelSpec& model, std::int64_t seed)
    : scheme_(model.options.initialization == "scaled" ? Scheme::kScaled : Scheme::kMamba),
      width_(static_cast<double>(model.options.width)),
      residual_layers_(static_cast<double>(model.options.depth())),
      blocks_(static_cast<double>(model.blocks())),
      seed_(static_cast<std::uint64_t>(seed)) {
  if (scheme_ == Scheme::kMamba && model.options.initialization != "mamba")
    throw Error(ErrorCode::kBug, "unknown initialization '" + model.options.initialization + "'");
}

Initializer Initializer::inside(std::string_view name) const {
  Initializer inner = *this;
  inner.prefix_ += name;
  inner.prefix_ += '.';
  return inner;
}

void Initializer::embedding(std::string_view name, at::Tensor& weight) const {
  normal(name, weight, scheme_ == Scheme::kMamba ? kEmbeddingDeviation : std::sqrt(2.0 / (5.0 * width_)));
}

void Initializer::linear(std::string_view name, at::Tensor& weight) const {
  if (scheme_ == Scheme::kScaled) return normal(name, weight, std::sqrt(2.0 / (5.0 * width_)));
  const double bound = 1.0 / std::sqrt(static_cast<double>(weight.size(1)));
  uniform(name, weight, -bound, bound);
}

void Initializer::output(std::string_view name, at::Tensor& weight) const {
  if (scheme_ == Scheme::kScaled) return normal(name, weight, 1.0 / (std::sqrt(width_) * blocks_));
  const double bound = 1.0 / std::sqrt(static_cast<double>(weight.size(1)) * residual_layers_);
  uniform(name, weight, -bound, bound);
}

void Initializer::uniform(std::string_view name, at::Tensor& tensor, double low, double high) const {
  Stream stream(seed_, prefix_ + std::string(name));
  fill(tensor, [&] { return low + (high - low) * stream.uniform(); });
}

void Initializer::normal(std::string_view name, at::Tensor& tensor, double deviation) const {
  Stream stream(seed_, prefix_ + std::string(name));
  fill(tensor, [&] { return deviation * stream.normal(); });
}

}  // namespace mestre
