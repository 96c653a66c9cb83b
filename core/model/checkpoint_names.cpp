#include "core/model/checkpoint_names.h"

#include <set>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/options.h"

namespace mestre {
namespace {

template <class T>
const T& layer_of_type(const std::vector<const MixerOptions*>& stack, std::size_t layer) {
  const T* options = layer < stack.size() ? dynamic_cast<const T*>(stack[layer]) : nullptr;
  if (options == nullptr) {
    throw Error(ErrorCode::kBadInput,
                fmt::format("layer {} of the model is not what the checkpoint's layout has there", layer))
        .hint(fmt::format("expected a layer of type '{}'", T().type()));
  }
  return *options;
}

/// Collects the tensors of one layer after the other.
class Names {
 public:
  Names& whole(std::string name, std::string parameter, std::int64_t rows) {
    return part(std::move(name), std::move(parameter), 0, rows);
  }
  Names& part(std::string name, std::string parameter, std::int64_t first_row, std::int64_t rows) {
    tensors_.push_back(
        {.name = std::move(name), .parameter = std::move(parameter), .first_row = first_row, .rows = rows});
    return *this;
  }
  std::vector<ForeignTensor> take() { return std::move(tensors_); }

 private:
  std::vector<ForeignTensor> tensors_;
};

void add_llama_layer(Names& names, const ModelSpec& model, const std::vector<const MixerOptions*>& stack,
                     std::size_t pair) {
  const ModelShape shape = model.shape();
  const auto& attention = layer_of_type<AttentionOptions>(stack, 2 * pair);
  const auto& mlp = layer_of_type<MlpOptions>(stack, 2 * pair + 1);
  if (attention.short_convolution > 0)
    throw Error(ErrorCode::kBadInput,
                fmt::format("layer {} has a short convolution, for which the layout has no place", 2 * pair));
  const std::int64_t queries = attention.heads * attention.head_size(shape),
                     keys = attention.kv_heads * attention.head_size(shape);
  const std::string theirs = fmt::format("model.layers.{}.", pair);
  std::string ours = fmt::format("layers.{}.", 2 * pair);
  names.whole(theirs + "input_layernorm.weight", ours + "norm.weight", shape.width)
      .part(theirs + "self_attn.q_proj.weight", ours + "mixer.qkv.weight", 0, queries)
      .part(theirs + "self_attn.k_proj.weight", ours + "mixer.qkv.weight", queries, keys)
      .part(theirs + "self_attn.v_proj.weight", ours + "mixer.qkv.weight", queries + keys, keys)
      .whole(theirs + "self_attn.o_proj.weight", ours + "mixer.out.weight", shape.width);
  ours = fmt::format("layers.{}.", 2 * pair + 1);
  names.whole(theirs + "post_attention_layernorm.weight", ours + "norm.weight", shape.width)
      .part(theirs + "mlp.gate_proj.weight", ours + "mixer.gate_up.weight", 0, mlp.intermediate)
      .part(theirs + "mlp.up_proj.weight", ours + "mixer.gate_up.weight", mlp.intermediate, mlp.intermediate)
      .whole(theirs + "mlp.down_proj.weight", ours + "mixer.down.weight", shape.width);
}

void add_mamba_layer(Names& names, const ModelSpec& model, const std::vector<const MixerOptions*>& stack,
                     std::size_t layer) {
  const ModelShape shape = model.shape();
  const auto& mamba = layer_of_type<MambaOptions>(stack, layer);
  const std::int64_t inner = mamba.inner(shape);
  const std::string theirs = fmt::format("backbone.layers.{}.", layer), ours = fmt::format("layers.{}.", layer);
  const auto same = [&](const char* name, std::int64_t rows) {
    names.whole(theirs + "mixer." + name, ours + "mixer." + name, rows);
  };
  names.whole(theirs + "norm.weight", ours + "norm.weight", shape.width);
  same("in_proj.weight", 2 * inner);
  same("conv1d.weight", inner);
  same("conv1d.bias", inner);
  same("x_proj.weight", mamba.rank + 2 * mamba.state);
  same("dt_proj.weight", inner);
  same("dt_proj.bias", inner);
  same("A_log", inner);
  same("D", inner);
  same("out_proj.weight", shape.width);
}

}  // namespace

std::vector<ForeignTensor> foreign_tensors(const ModelSpec& model, CheckpointLayout layout) {
  const std::vector<const MixerOptions*> stack = model.stack();
  const ModelShape shape = model.shape();
  const bool llama = layout == CheckpointLayout::kLlama;
  Names names;
  names.whole(llama ? "model.embed_tokens.weight" : "backbone.embeddings.weight", "embedding.weight", shape.vocabulary);
  if (llama) {
    for (std::size_t pair = 0; 2 * pair < stack.size(); ++pair) add_llama_layer(names, model, stack, pair);
  } else {
    for (std::size_t layer = 0; layer < stack.size(); ++layer) add_mamba_layer(names, model, stack, layer);
  }
  names.whole(llama ? "model.norm.weight" : "backbone.norm_f.weight", "final_norm.weight", shape.width);
  if (!model.options.tied_head) names.whole("lm_head.weight", "head.weight", shape.vocabulary);
  return names.take();
}

void load_foreign(LanguageModel& model, const Safetensors& file, CheckpointLayout layout) {
  const at::NoGradGuard no_gradient;
  const auto parameters = model.named_parameters();
  std::set<std::string> used;
  for (const ForeignTensor& foreign : foreign_tensors(model.spec(), layout)) {
    at::Tensor part = foreign.part_of(parameters[foreign.parameter]);
    const at::Tensor& value = file.at(foreign.name);
    if (value.numel() != part.numel()) {
      throw Error(ErrorCode::kCheckpointCorrupt, fmt::format("tensor '{}' of '{}' has {} elements, the model needs {}",
                                                             foreign.name, file.file, value.numel(), part.numel()));
    }
    part.copy_(value.view(part.sizes()));
    used.insert(foreign.name);
  }
  for (const auto& [name, value] : file.tensors)
    if (!used.contains(name))
      throw Error(ErrorCode::kCheckpointCorrupt,
                  fmt::format("the model has no place for tensor '{}' of '{}'", name, file.file));
}

}  // namespace mestre
