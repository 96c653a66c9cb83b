#include "core/model/gated_heads.h"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "core/model/parameter.h"
#include "kernels/rms_norm/rms_norm.h"

namespace mestre {
namespace {

constexpr double kNormEpsilon = 1e-5;
const double kXavierGain = std::exp2(-2.5);

}  // namespace

GatedHeads::GatedHeads(torch::nn::Module& mixer, const ExpandedHeads& sizes, std::int64_t width, std::int64_t taps)
    : sizes_(sizes) {
  qkvg_ = mixer.register_module("qkvg", std::make_shared<Dense>(width, sizes.channels() + sizes.value_width));
  if (taps > 0)
    convolution_ =
        mixer.register_module("qkv_conv1d", std::make_shared<ShortConvolution>(sizes.channels(), taps, false));
  const auto norm = mixer.register_module("norm", std::make_shared<torch::nn::Module>());
  norm_weight_ = add_parameter(*norm, "weight", {sizes.value_size()});
  out_ = mixer.register_module("out", std::make_shared<Dense>(sizes.value_width, width));
}

GatedHeads::Projected GatedHeads::project(const at::Tensor& x, at::Tensor* inputs) const {
  const std::vector<at::Tensor> qkv_g = qkvg_->forward(x).split_with_sizes({sizes_.channels(), sizes_.value_width}, -1);
  const at::Tensor qkv = convolution_ ? convolution_->forward(qkv_g[0], inputs) : qkv_g[0];
  const std::vector<at::Tensor> parts =
      qkv.split_with_sizes({sizes_.key_width, sizes_.key_width, sizes_.value_width}, -1);
  const auto heads = [&](const at::Tensor& part) { return part.unflatten(-1, {sizes_.heads, -1}); };
  return {.q = heads(parts[0]), .k = heads(parts[1]), .v = heads(parts[2]), .g = heads(qkv_g[1])};
}

at::Tensor GatedHeads::combine(const at::Tensor& o, const at::Tensor& g) const {
  return out_->forward(kernels::gated_rms_norm(o, g, norm_weight_, kNormEpsilon).flatten(2));
}

void GatedHeads::initialize(const Initializer& initializer) {
  const std::vector<at::Tensor> parts =
      qkvg_->weight.split_with_sizes({sizes_.key_width, sizes_.key_width, sizes_.value_width, sizes_.value_width}, 0);
  const char* const names[] = {"qkvg.weight.q", "qkvg.weight.k", "qkvg.weight.v", "qkvg.weight.g"};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    at::Tensor part = parts[i];
    initialize_projection(initializer, names[i], part);
  }
  if (convolution_) convolution_->initialize(initializer.inside("qkv_conv1d"));
  norm_weight_.fill_(1);
  initialize_projection(initializer, "out.weight", out_->weight);
}

void initialize_projection(const Initializer& initializer, std::string_view name, at::Tensor& weight) {
  if (initializer.redraws_linears()) return initializer.linear(name, weight);
  const double bound = kXavierGain * std::sqrt(6.0 / static_cast<double>(weight.size(0) + weight.size(1)));
  initializer.uniform(name, weight, -bound, bound);
}

}  // namespace mestre
