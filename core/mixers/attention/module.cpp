#include "core/mixers/attention/module.h"

#include <ATen/ATen.h>

#include "core/mixers/attention/module_attend.h"

namespace mestre {

AttentionModule::AttentionModule(const AttentionOptions& options, const ModelShape& shape)
    : options_(options), head_size_(options.head_size(shape)) {
  qkv_ = register_module("qkv", std::make_shared<Dense>(shape.width, options.channels(shape)));
  if (options.short_convolution > 0)
    convolution_ = register_module(
        "qkv_conv1d", std::make_shared<ShortConvolution>(options.channels(shape), options.short_convolution, false));
  out_ = register_module("out", std::make_shared<Dense>(options.heads * head_size_, shape.width));
}

at::Tensor AttentionModule::forward(const at::Tensor& x) {
  if (options_.rope) prepare_rotation(x);
  at::Tensor qkv = qkv_->forward(x);
  if (convolution_) qkv = convolution_->forward(qkv);
  return out_->forward(attend(qkv, {.heads = options_.heads,
                                    .groups = options_.kv_heads,
                                    .window = options_.window,
                                    .cosines = cosines_,
                                    .sines = sines_}));
}

void AttentionModule::prepare_rotation(const at::Tensor& x) {
  if (cosines_.defined() && cosines_.size(0) >= x.size(1) && cosines_.dtype() == x.dtype()) return;
  const at::Tensor pair = at::arange(head_size_ / 2, at::kDouble);
  const at::Tensor frequency = at::pow(options_.rope_base, pair * (-2.0 / static_cast<double>(head_size_)));
  const at::Tensor angle = at::arange(x.size(1), at::kDouble).unsqueeze(1) * frequency;
  cosines_ = angle.cos().to(x.options());
  sines_ = angle.sin().to(x.options());
}

void AttentionModule::initialize(const Initializer& initializer) {
  initializer.linear("qkv.weight", qkv_->weight);
  if (convolution_) convolution_->initialize(initializer.inside("qkv_conv1d"));
  initializer.output("out.weight", out_->weight);
}

}  // namespace mestre
