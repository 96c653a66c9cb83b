// The layouts of Hugging Face's library: `model.layers.…` of Llama and Mistral, whose decoder layer is our attention
// layer and the MLP behind it, and `backbone.layers.…` of Mamba.
#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/options.h"
#include "core/model/checkpoint_layouts.h"

namespace mestre {
namespace {

void add_attention(TensorList& list, const AttentionOptions& attention, const LayerNames& names) {
  if (attention.short_convolution > 0)
    refuse_layer(names.layer, "has a short convolution, for which the layout has no place");
  const std::int64_t width = names.shape.width, queries = attention.heads * attention.head_size(names.shape),
                     keys = attention.kv_heads * attention.head_size(names.shape);
  const std::string qkv = names.ours + "mixer.qkv.weight", theirs = names.theirs + "self_attn.";
  list.vector(names.theirs + "input_layernorm.weight", names.ours + "norm.weight", width);
  list.rows_of_matrix(theirs + "q_proj.weight", {{qkv, 0, queries}}, width);
  list.rows_of_matrix(theirs + "k_proj.weight", {{qkv, queries, keys}}, width);
  list.rows_of_matrix(theirs + "v_proj.weight", {{qkv, queries + keys, keys}}, width);
  list.matrix(theirs + "o_proj.weight", names.ours + "mixer.out.weight", width, queries);
}

void add_mlp(TensorList& list, const MlpOptions& mlp, const LayerNames& names) {
  const std::int64_t width = names.shape.width, inner = mlp.intermediate;
  const std::string gate_up = names.ours + "mixer.gate_up.weight", theirs = names.theirs + "mlp.";
  list.vector(names.theirs + "post_attention_layernorm.weight", names.ours + "norm.weight", width);
  list.rows_of_matrix(theirs + "gate_proj.weight", {{gate_up, 0, inner}}, width);
  list.rows_of_matrix(theirs + "up_proj.weight", {{gate_up, inner, inner}}, width);
  list.matrix(theirs + "down_proj.weight", names.ours + "mixer.down.weight", width, inner);
}

}  // namespace

void add_mamba(TensorList& list, const MixerOptions& options, const LayerNames& names) {
  const auto& mamba = dynamic_cast<const MambaOptions&>(options);
  const std::int64_t width = names.shape.width, inner = mamba.inner(names.shape);
  const auto matrix = [&](const char* name, std::int64_t rows, std::int64_t columns) {
    list.matrix(names.theirs + name, names.ours + "mixer." + name, rows, columns);
  };
  const auto vector = [&](const char* name) { list.vector(names.theirs + name, names.ours + "mixer." + name, inner); };
  matrix("in_proj.weight", 2 * inner, width);
  list.convolution(names.theirs + "conv1d.weight", {names.ours + "mixer.conv1d.weight", 0, inner}, mamba.convolution);
  vector("conv1d.bias");
  matrix("x_proj.weight", mamba.rank + 2 * mamba.state, inner);
  matrix("dt_proj.weight", inner, mamba.rank);
  vector("dt_proj.bias");
  matrix("A_log", inner, mamba.state);
  vector("D");
  matrix("out_proj.weight", width, inner);
}

void add_llama_layers(TensorList& list, const ModelSpec& model) {
  const std::vector<const MixerOptions*> stack = model.stack();
  for (std::size_t layer = 0; layer < stack.size(); layer += 2) {
    const std::string theirs = fmt::format("model.layers.{}.", layer / 2);
    add_attention(list, layer_of_type<AttentionOptions>(stack, layer),
                  {model.shape(), layer, theirs, our_prefix(layer)});
    add_mlp(list, layer_of_type<MlpOptions>(stack, layer + 1),
            {model.shape(), layer + 1, theirs, our_prefix(layer + 1)});
  }
}

void add_mamba_layers(TensorList& list, const ModelSpec& model) {
  const std::vector<const MixerOptions*> stack = model.stack();
  for (std::size_t layer = 0; layer < stack.size(); ++layer) {
    const std::string theirs = fmt::format("backbone.layers.{}.", layer), ours = our_prefix(layer);
    list.vector(theirs + "norm.weight", ours + "norm.weight", model.options.width);
    add_mamba(list, layer_of_type<MambaOptions>(stack, layer), {model.shape(), layer, theirs + "mixer.", ours});
  }
}

}  // namespace mestre
