#include "core/mixers/attention/module.h"

#include <ATen/ATen.h>

#include "core/mixers/attention/module_attend.h"

namespace mestre {
namespace {

// Turns each pair (j, j + p/2) of x [batch, heads, length, p] by the angle of its position.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosines, const at::Tensor& sines) {
  const std::vector<at::Tensor> halves = x.chunk(2, -1);
  return at::cat({halves[0] * cosines - halves[1] * sines, halves[1] * cosines + halves[0] * sines}, -1);
}

}  // namespace

AttentionModule::AttentionModule(const AttentionOptions& options, const ModelShape& shape)
    : options_(options), head_size_(options.head_size(shape)) {
  qkv_ =
      register_module("qkv", std::make_shared<Dense>(shape.width, (options.heads + 2 * options.kv_heads) * head_size_));
  out_ = register_module("out", std::make_shared<Dense>(options.heads * head_size_, shape.width));
}

at::Tensor AttentionModule::forward(const at::Tensor& x) {
  const std::int64_t length = x.size(1), heads = options_.heads, groups = options_.kv_heads;
  const at::Tensor all = qkv_->forward(x).unflatten(-1, {heads + 2 * groups, head_size_}).transpose(1, 2);
  at::Tensor q = all.narrow(1, 0, heads), k = all.narrow(1, heads, groups);
  const at::Tensor v = all.narrow(1, heads + groups, groups);
  if (options_.rope) {
    if (!cosines_.defined() || cosines_.size(0) < length || cosines_.dtype() != x.dtype()) {
      const at::Tensor pair = at::arange(head_size_ / 2, at::kDouble);
      const at::Tensor frequency = at::pow(options_.rope_base, pair * (-2.0 / static_cast<double>(head_size_)));
      const at::Tensor angle = at::arange(length, at::kDouble).unsqueeze(1) * frequency;
      cosines_ = angle.cos().to(x.options());
      sines_ = angle.sin().to(x.options());
    }
    const at::Tensor cosines = cosines_.narrow(0, 0, length), sines = sines_.narrow(0, 0, length);
    q = rotate(q, cosines, sines);
    k = rotate(k, cosines, sines);
  }
  return out_->forward(attend(q, k, v, options_.window).transpose(1, 2).flatten(2));
}

void AttentionModule::initialize(const Initializer& initializer) {
  initializer.linear("qkv.weight", qkv_->weight);
  initializer.output("out.weight", out_->weight);
}

}  // namespace mestre
