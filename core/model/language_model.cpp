#include "core/model/language_model.h"

#include <string>

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include "core/model/modules.h"
#include "kernels/cross_entropy/cross_entropy.h"

namespace mestre {

namespace {

// What all layers would round to, once: kept, one copy is half of what each product would keep for itself.
at::Tensor for_products(const at::Tensor& x) {
  const at::DeviceType device = x.device().type();
  return at::autocast::is_autocast_available(device) && at::autocast::is_autocast_enabled(device)
             ? x.to(at::autocast::get_autocast_dtype(device))
             : x;
}

// Torch's embedding knows Meta only from Python.
at::Tensor embed(const at::Tensor& weight, const at::Tensor& tokens) {
  return tokens.is_meta() ? at::index(weight, {tokens}) : at::embedding(weight, tokens);
}

}  // namespace

LanguageModel::LanguageModel(const ModelSpec& spec) : spec_(spec) {
  const ModelShape shape = spec_.shape();
  embedding_ = register_module("embedding", std::make_shared<Dense>(shape.width, shape.vocabulary));
  const auto layers = register_module("layers", std::make_shared<torch::nn::Module>());
  for (const MixerOptions* options : spec_.stack()) {
    const auto layer = layers->register_module(std::to_string(layers_.size()), std::make_shared<torch::nn::Module>());
    layers_.push_back(
        {.norm = layer->register_module("norm", std::make_shared<RmsNorm>(shape.width, spec_.options.norm_epsilon)),
         .mixer = layer->register_module("mixer", make_mixer(*options, shape))});
  }
  final_norm_ = register_module("final_norm", std::make_shared<RmsNorm>(shape.width, spec_.options.norm_epsilon));
  head_ = spec_.options.tied_head ? embedding_
                                  : register_module("head", std::make_shared<Dense>(shape.width, shape.vocabulary));
}

void LanguageModel::initialize(std::int64_t seed) {
  const at::NoGradGuard no_gradient;
  const Initializer initializer(spec_, seed);
  initializer.embedding("embedding.weight", embedding_->weight);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].norm->weight.fill_(1);
    layers_[i].mixer->initialize(initializer.inside("layers." + std::to_string(i) + ".mixer"));
  }
  final_norm_->weight.fill_(1);
  if (!spec_.options.tied_head) initializer.linear("head.weight", head_->weight);
}

at::Tensor LanguageModel::forward(const at::Tensor& tokens, const ForwardOptions& options) {
  at::Tensor x = embed(embedding_->weight, tokens);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const at::Tensor normalised = for_products(layers_[i].norm->forward(x));
    x = x + layers_[i].mixer->forward({.x = normalised,
                                       .residual = x,
                                       .state = options.state != nullptr ? options.state->at(i).get() : nullptr,
                                       .observer = options.observer ? options.observer(i) : nullptr});
    if (options.residuals != nullptr) options.residuals->push_back(x);
  }
  if (options.last_position_only) x = x.narrow(1, x.size(1) - 1, 1);
  return head_->forward(for_products(final_norm_->forward(x)));
}

ModelState LanguageModel::start() const {
  ModelState state;
  for (const Layer& layer : layers_) state.push_back(layer.mixer->start());
  return state;
}

std::int64_t LanguageModel::parameter_count() const {
  std::int64_t sum = 0;
  for (const at::Tensor& parameter : parameters()) sum += parameter.numel();
  return sum;
}

at::Tensor losses(const at::Tensor& logits, const at::Tensor& targets) {
  const at::Tensor rows = logits.flatten(0, 1), each = targets.flatten();
  // Torch's own is faster, and needs a copy of rounded logits in fp32 and more.
  const bool is_rounded = rows.scalar_type() == at::kBFloat16;
  const at::Tensor nats =
      is_rounded ? kernels::cross_entropy(rows, each) : at::cross_entropy_loss(rows, each, {}, at::Reduction::None);
  return nats.view(targets.sizes());
}

at::Tensor mean_loss(const at::Tensor& logits, const at::Tensor& targets) {
  if (logits.scalar_type() == at::kBFloat16) return losses(logits, targets).mean();
  return at::cross_entropy_loss(logits.flatten(0, 1), targets.flatten());
}

}  // namespace mestre
