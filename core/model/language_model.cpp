#include "core/model/language_model.h"

#include <string>

#include <ATen/ATen.h>

#include "core/model/modules.h"

namespace mestre {

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

at::Tensor LanguageModel::forward(const at::Tensor& tokens, std::vector<at::Tensor>* residuals) {
  at::Tensor x = at::embedding(embedding_->weight, tokens);
  for (const Layer& layer : layers_) {
    x = x + layer.mixer->forward(layer.norm->forward(x));
    if (residuals != nullptr) residuals->push_back(x);
  }
  return head_->forward(final_norm_->forward(x));
}

std::int64_t LanguageModel::parameter_count() const {
  std::int64_t sum = 0;
  for (const at::Tensor& parameter : parameters()) sum += parameter.numel();
  return sum;
}

at::Tensor mean_loss(const at::Tensor& logits, const at::Tensor& targets) {
  return at::cross_entropy_loss(logits.flatten(0, 1), targets.flatten());
}

}  // namespace mestre
