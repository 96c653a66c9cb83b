// A model as data: a pattern of mixer instances, repeated, over one residual stream.
//
// Layers form blocks of equal length, a mixer and its MLP as a rule; the study counts in blocks. Files may replace the
// layers of single blocks ([model.blocks]); here the layers are then written out, with repeat = 1.
//
// Every layer is pre-norm with a residual: x + mixer(RMSNorm(x)). A model owns the options of its instances; copies are
// deep.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/mixers/mixer.h"

namespace mestre {

/// The scalar options of [model]; instances stand beside them, each in its own table [model.<instance>].
struct ModelOptions : Options {
  std::int64_t vocabulary = 0;        // V; resolved to the tokenizer's where 0
  std::int64_t width = 0;             // d
  std::vector<std::string> layers;    // instance names in order
  std::int64_t repeat = 1;            // how often the pattern stands
  std::int64_t layers_per_block = 0;  // resolved to block_length() where 0
  bool tied_head = true;              // the head shares the embedding
  double norm_epsilon = 1e-5;
  std::string initialization = "mamba";  // see describe
  void describe(OptionVisitor& visitor) override;
  /// Layers of one block: where nobody says, 2 if the pattern has an even number of layers, else the whole pattern.
  [[nodiscard]] std::int64_t block_length() const;
  /// Layers in all.
  [[nodiscard]] std::int64_t depth() const { return static_cast<std::int64_t>(layers.size()) * repeat; }
};

struct ModelSpec {
  ModelOptions options;
  std::map<std::string, std::unique_ptr<MixerOptions>> instances;

  ModelSpec() = default;
  ModelSpec(const ModelSpec& other);
  ModelSpec& operator=(const ModelSpec& other);
  ModelSpec(ModelSpec&&) = default;
  ModelSpec& operator=(ModelSpec&&) = default;

  [[nodiscard]] ModelShape shape() const { return {.width = options.width, .vocabulary = options.vocabulary}; }
  /// The instance of each layer, the pattern written out `repeat` times.
  [[nodiscard]] std::vector<const MixerOptions*> stack() const;
  [[nodiscard]] std::int64_t blocks() const { return options.depth() / options.block_length(); }
  /// Fills in what depends on the rest (vocabulary, key-value heads, …). `vocabulary` is the tokenizer's.
  void resolve(std::int64_t vocabulary);

  /// Trainable parameters, a tied head counted once, norms included.
  [[nodiscard]] std::int64_t parameters() const;
  /// Without the embedding and an untied head.
  [[nodiscard]] std::int64_t parameters_without_embeddings() const;
  /// Floating-point operations of the forward pass per token over a sequence of `length`, the head's product included.
  [[nodiscard]] double forward_flops(std::int64_t length) const;
  /// Bytes kept per token for the backward pass, the logits left out.
  [[nodiscard]] double activation_bytes(std::int64_t length, double element) const;
  /// Bytes per token of the logits and their gradient.
  [[nodiscard]] double logit_bytes(double element) const;
};

/// {"instances":{"swa":{"options":{…},"type":"attention"},…},"options":{"initialization":…,…}}, keys sorted.
[[nodiscard]] std::string canonical_json(const ModelSpec& model);

/// Versions that give a model its meaning besides those of its mixers.
inline constexpr int kInitializationVersion = 1;

}  // namespace mestre
