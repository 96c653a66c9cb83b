// What every token mixer says of itself without Torch: its options, whether they make sense, and what they cost.
//
// A mixer maps the normalised residual stream [B, L, width] to an update of the same shape. Its LibTorch module stands
// beside its options, in module.{h,cpp}; the table of types is core/mixers/registry.h, the table of modules
// core/model/modules.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/base/options.h"

namespace mestre {

/// What a mixer must know of the model around it.
struct ModelShape {
  std::int64_t width = 0;       // d, elements of the residual stream
  std::int64_t vocabulary = 0;  // V, rows of the embedding
};

class MixerOptions : public Options {
 public:
  [[nodiscard]] virtual std::string_view type() const = 0;
  /// Raised whenever the mixer computes something else for the same options; part of every job's identity.
  [[nodiscard]] virtual int version() const = 0;
  [[nodiscard]] virtual std::unique_ptr<MixerOptions> clone() const = 0;
  /// Replaces "take it from the model" by its value, so that a spec holds every option at its value. Called once,
  /// before check.
  virtual void resolve(const ModelShape&) {}
  /// Whether its module shows an observer (core/model/mixer_module.h) its attention or its selection.
  [[nodiscard]] virtual bool is_observable() const { return false; }
  /// Reports contradictions between options.
  virtual void check(const ModelShape& shape, const Problem& problem) const = 0;
  /// Trainable parameters, exactly those of the module; the norm before the mixer is the model's.
  [[nodiscard]] virtual std::int64_t parameters(const ModelShape& shape) const = 0;
  /// Elements of the matrices that every token is multiplied by once: two operations each, exactly those of the module.
  [[nodiscard]] virtual std::int64_t dense_parameters(const ModelShape& shape) const = 0;
  /// Floating-point operations of the forward pass per token (a multiply-add counts two), averaged over a sequence of
  /// `length` tokens, where attention counts the pairs that the mask leaves.
  [[nodiscard]] virtual double forward_flops(const ModelShape& shape, std::int64_t length) const = 0;
  /// Bytes kept per token for the backward pass, at `element` bytes an activation.
  [[nodiscard]] virtual double activation_bytes(const ModelShape& shape, std::int64_t length, double element) const = 0;
};

}  // namespace mestre
