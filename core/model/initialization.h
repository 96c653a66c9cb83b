// Initial weights: which distribution each parameter is drawn from, and the generator that draws.
//
// Each parameter has a stream of its own, keyed by the seed and its name, so that its values depend neither on the
// order of construction nor on the number of threads nor on Torch's generators. The rules and the generator are part of
// a job's identity (kInitializationVersion).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <ATen/core/Tensor.h>

#include "core/spec/model.h"

namespace mestre {

/// How the model around a mixer asks for its weights (paper, section 2):
///   mamba:  embeddings N(0, 0.02^2); linears U(-1/sqrt(in), 1/sqrt(in)); outputs as linears, divided by
///           sqrt(number of residual layers)
///   scaled: embeddings and linears N(0, 2 / (5 d)); outputs N(0, 1 / (d blocks^2)), where `blocks` is the model's own
///           count (layers_per_block)
/// Every function overwrites the tensor; `name` is the parameter's, below the prefix of this Initializer.
class Initializer {
 public:
  Initializer(const ModelSpec& model, std::int64_t seed);
  /// The same rules for the parameters below `name`.
  [[nodiscard]] Initializer inside(std::string_view name) const;

  /// Whether the scheme draws every linear layer its own way; else a mixer may start them as its paper does.
  [[nodiscard]] bool redraws_linears() const { return scheme_ == Scheme::kScaled; }

  void embedding(std::string_view name, at::Tensor& weight) const;
  /// weight [out, in].
  void linear(std::string_view name, at::Tensor& weight) const;
  /// A projection into the residual stream, weight [out, in].
  void output(std::string_view name, at::Tensor& weight) const;
  void uniform(std::string_view name, at::Tensor& tensor, double low, double high) const;
  void normal(std::string_view name, at::Tensor& tensor, double deviation) const;

 private:
  enum class Scheme { kMamba, kScaled };

  Scheme scheme_;
  double width_;
  double residual_layers_;
  double blocks_;
  std::uint64_t seed_;
  std::string prefix_;
};

}  // namespace mestre
