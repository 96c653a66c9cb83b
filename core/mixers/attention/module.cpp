#include "core/mixers/attention/module.h"

#include <cmath>
#include <optional>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>

#include "core/mixers/attention/module_cache.h"
#include "kernels/qkv_attention/qkv_attention.h"
#include "kernels/rope/rope.h"
#include "kernels/sliding_window_attention/sliding_window_attention.h"

namespace mestre {
namespace {

struct AttentionState final : MixerState {
  explicit AttentionState(std::int64_t window) : cache(window) {}
  at::Tensor inputs;  // of the short convolution
  KeyValueCache cache;
};

}  // namespace

AttentionModule::AttentionModule(const AttentionOptions& options, const ModelShape& shape)
    : options_(options),
      head_size_(options.head_size(shape)),
      scale_(1.0 / std::sqrt(static_cast<double>(head_size_))),
      rotation_(head_size_, options.rope_base) {
  qkv_ = register_module("qkv", std::make_shared<Dense>(shape.width, options.channels(shape)));
  if (options.short_convolution > 0)
    convolution_ = register_module(
        "qkv_conv1d", std::make_shared<ShortConvolution>(options.channels(shape), options.short_convolution, false));
  out_ = register_module("out", std::make_shared<Dense>(options.heads * head_size_, shape.width));
}

at::Tensor AttentionModule::forward(const MixerInput& input) {
  auto* state = dynamic_cast<AttentionState*>(input.state);
  at::Tensor qkv = qkv_->forward(input.x);
  if (convolution_) qkv = convolution_->forward(qkv, state != nullptr ? &state->inputs : nullptr);
  const bool is_whole = state == nullptr && input.observer == nullptr;
  const at::Tensor o = is_whole ? attend(qkv) : attend_step_by_step(qkv, input);
  if (state != nullptr) state->position += input.x.size(1);
  return out_->forward(o);
}

at::Tensor AttentionModule::attend(const at::Tensor& qkv) {
  std::optional<at::Tensor> cosines, sines;
  if (options_.rope) {
    const Rotation::Angles angles = rotation_.angles(0, qkv.size(1), qkv);
    cosines = angles.cosines;
    sines = angles.sines;
  }
  return std::get<0>(
      kernels::qkv_attention(qkv, options_.heads, options_.kv_heads, options_.window, scale_, cosines, sines));
}

at::Tensor AttentionModule::attend_step_by_step(const at::Tensor& qkv, const MixerInput& input) {
  auto* state = dynamic_cast<AttentionState*>(input.state);
  const std::int64_t of_queries = options_.heads * head_size_, of_keys = options_.kv_heads * head_size_;
  const std::vector<at::Tensor> parts = qkv.split_with_sizes({of_queries, of_keys, of_keys}, -1);
  at::Tensor q = parts[0].unflatten(-1, {options_.heads, head_size_});
  at::Tensor k = parts[1].unflatten(-1, {options_.kv_heads, head_size_});
  at::Tensor v = parts[2].unflatten(-1, {options_.kv_heads, head_size_});
  if (options_.rope) {
    const Rotation::Angles angles =
        rotation_.angles(input.state != nullptr ? input.state->position : 0, qkv.size(1), qkv);
    q = kernels::rope(q, angles.cosines, angles.sines);
    k = kernels::rope(k, angles.cosines, angles.sines);
  }
  if (state != nullptr) {
    const KeyValueCache::Visible visible = state->cache.append(k, v);
    k = visible.keys;
    v = visible.values;
  }
  if (input.observer != nullptr) input.observer->saw_attention(q, k, options_.window, scale_);
  return std::get<0>(kernels::sliding_window_attention(q, k, v, options_.window, scale_)).flatten(2);
}

std::unique_ptr<MixerState> AttentionModule::start() const {
  return std::make_unique<AttentionState>(options_.window);
}

void AttentionModule::initialize(const Initializer& initializer) {
  initializer.linear("qkv.weight", qkv_->weight);
  if (convolution_) convolution_->initialize(initializer.inside("qkv_conv1d"));
  initializer.output("out.weight", out_->weight);
}

}  // namespace mestre
