// The naming of the Samba study's public code (github microsoft/Samba): blocks `transformer.h.<i>.`, of one mixer and
// its MLP, of Mamba, attention and MLP, or, in a model of Mamba alone, of one Mamba layer.
#include <algorithm>
#include <span>

#include "core/mixers/attention/options.h"
#include "core/mixers/gla/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mega_s6/options.h"
#include "core/mixers/mlp/options.h"
#include "core/mixers/retention/options.h"
#include "core/model/checkpoint_layouts.h"

namespace mestre {
namespace {

/// Rows of one of our fused parameters, in the order in which they stand there, under a name each.
class Cuts {
 public:
  explicit Cuts(std::string parameter) : parameter_(std::move(parameter)) {}
  RowRange next(std::int64_t rows) {
    RowRange range{parameter_, row_, rows};
    row_ += rows;
    return range;
  }

 private:
  std::string parameter_;
  std::int64_t row_ = 0;
};

/// Taps of queries, keys and values, which lie in one parameter here.
void add_short_convolution(TensorList& list, std::int64_t taps, std::int64_t queries, std::int64_t keys,
                           std::int64_t values, const LayerNames& names) {
  if (taps == 0) return;
  Cuts cuts(names.ours + "mixer.qkv_conv1d.weight");
  list.convolution(names.theirs + "q_conv1d.weight", cuts.next(queries), taps);
  list.convolution(names.theirs + "k_conv1d.weight", cuts.next(keys), taps);
  list.convolution(names.theirs + "v_conv1d.weight", cuts.next(values), taps);
}

// Their rows are grouped by key-value head: its query heads, its key head, its value head. Ours are all query heads,
// all key heads, all value heads.
void add_attention(TensorList& list, const MixerOptions& options, const LayerNames& names) {
  const auto& attention = dynamic_cast<const AttentionOptions&>(options);
  const std::int64_t size = attention.head_size(names.shape), groups = attention.kv_heads,
                     queries = attention.heads * size, keys = groups * size, queries_of_group = queries / groups;
  const std::string qkv = names.ours + "mixer.qkv.weight";
  std::vector<RowRange> rows;
  for (std::int64_t group = 0; group < groups; ++group) {
    rows.push_back({qkv, group * queries_of_group, queries_of_group});
    rows.push_back({qkv, queries + group * size, size});
    rows.push_back({qkv, queries + keys + group * size, size});
  }
  list.rows_of_matrix(names.theirs + "attn.weight", std::move(rows), names.shape.width);
  list.matrix(names.theirs + "proj.weight", names.ours + "mixer.out.weight", names.shape.width, queries);
  add_short_convolution(list, attention.short_convolution, queries, keys, keys, names);
}

void add_mlp(TensorList& list, const MixerOptions& options, const LayerNames& names) {
  const std::int64_t inner = dynamic_cast<const MlpOptions&>(options).intermediate, width = names.shape.width;
  Cuts gate_up(names.ours + "mixer.gate_up.weight");
  list.rows_of_matrix(names.theirs + "swiglu.w1.weight", {gate_up.next(inner)}, width);
  list.rows_of_matrix(names.theirs + "swiglu.w2.weight", {gate_up.next(inner)}, width);
  list.matrix(names.theirs + "swiglu.w3.weight", names.ours + "mixer.down.weight", width, inner);
}

/// What GLA and retention share.
void add_linear_attention(TensorList& list, const ExpandedHeads& sizes, std::int64_t taps, const LayerNames& names) {
  const std::int64_t width = names.shape.width, keys = sizes.key_width, values = sizes.value_width;
  Cuts qkvg(names.ours + "mixer.qkvg.weight");
  list.rows_of_matrix(names.theirs + "q_proj.weight", {qkvg.next(keys)}, width);
  list.rows_of_matrix(names.theirs + "k_proj.weight", {qkvg.next(keys)}, width);
  list.rows_of_matrix(names.theirs + "v_proj.weight", {qkvg.next(values)}, width);
  list.rows_of_matrix(names.theirs + "g_proj.weight", {qkvg.next(values)}, width);
  list.vector(names.theirs + "g_norm_swish_gate.weight", names.ours + "mixer.norm.weight", sizes.value_size());
  list.matrix(names.theirs + "o_proj.weight", names.ours + "mixer.out.weight", width, values);
  add_short_convolution(list, taps, keys, keys, values, names);
}

void add_gla(TensorList& list, const MixerOptions& options, const LayerNames& names) {
  const auto& gla = dynamic_cast<const GlaOptions&>(options);
  const ExpandedHeads sizes = gla.sizes(names.shape);
  add_linear_attention(list, sizes, gla.short_convolution, names);
  const std::string theirs = names.theirs + "gk_proj.", ours = names.ours + "mixer.";
  list.matrix(theirs + "0.weight", ours + "gate_down.weight", gla.gate_rank, names.shape.width);
  list.matrix(theirs + "1.weight", ours + "gate_up.weight", sizes.key_width, gla.gate_rank);
  list.vector(theirs + "1.bias", ours + "gate_up.bias", sizes.key_width);
}

void add_retention(TensorList& list, const MixerOptions& options, const LayerNames& names) {
  const auto& retention = dynamic_cast<const RetentionOptions&>(options);
  add_linear_attention(list, retention.sizes(names.shape), retention.short_convolution, names);
}

// Its S6, `move`, has the model's width inside; one row of positions there is a vector here.
void add_mega_s6(TensorList& list, const MixerOptions& options, const LayerNames& names) {
  const auto& mega = dynamic_cast<const MegaS6Options&>(options);
  const std::int64_t width = names.shape.width, size = mega.key_size;
  const std::string ours = names.ours + "mixer.", move = names.theirs + "move.";
  const auto affine = [&](const std::string& theirs, const std::string& name, std::int64_t rows, std::int64_t columns) {
    list.matrix(theirs + ".weight", ours + name + ".weight", rows, columns);
    list.vector(theirs + ".bias", ours + name + ".bias", rows);
  };
  affine(names.theirs + "v_proj", "v_proj", width, width);
  list.convolution(move + "conv1d.weight", {ours + "conv1d.weight", 0, width}, mega.convolution);
  list.vector(move + "conv1d.bias", ours + "conv1d.bias", width);
  list.matrix(move + "x_proj.weight", ours + "x_proj.weight", mega.rank + 2 * mega.state, width);
  affine(move + "dt_proj", "dt_proj", width, mega.rank);
  list.matrix(move + "A_log", ours + "A_log", width, mega.state);
  list.vector(move + "D", ours + "D", width);
  affine(names.theirs + "mx_proj", "m_proj", 3 * width + size, width);
  affine(names.theirs + "h_proj", "h_proj", width, width);
  list.matrix(names.theirs + "gamma", ours + "gamma", 2, size);
  list.matrix(names.theirs + "beta", ours + "beta", 2, size);
  for (const auto& [theirs, position] : {std::pair("alpha", "position_a"), std::pair("beta", "position_b")})
    list.add({.name = names.theirs + "rel_pos_bias." + theirs,
              .shape = {1, size},
              .row = {},
              .parts = {{ours + position, 0, size}}});
}

struct StudyMixer {
  std::string_view type;
  void (*add)(TensorList& list, const MixerOptions& options, const LayerNames& names);
};
constexpr StudyMixer kMixers[] = {{"attention", add_attention}, {"gla", add_gla}, {"mamba", add_mamba},
                                  {"mega_s6", add_mega_s6},     {"mlp", add_mlp}, {"retention", add_retention}};

/// What a block of so many layers calls the norm and the mixer of each.
struct Place {
  const char* norm;
  const char* mixer;
};
constexpr Place kAlone[] = {{"norm.", "mixer."}};
constexpr Place kPair[] = {{"norm_1.", "attn."}, {"norm_2.", "mlp."}};
constexpr Place kMegaPair[] = {{"attn.norm.", "attn."}, {"norm_2.", "mlp."}};
constexpr Place kTriple[] = {{"norm_m.", "mb."}, {"norm_attn.", "attn."}, {"norm_2.", "mlp."}};

using Stack = std::vector<const MixerOptions*>;

bool is_of_type(const Stack& stack, std::size_t layer, std::string_view type) {
  return layer < stack.size() && stack[layer]->type() == type;
}

/// The block that begins with this layer.
std::span<const Place> block_at(const Stack& stack, std::size_t layer) {
  const bool mamba_alone =
      std::all_of(stack.begin(), stack.end(), [](const MixerOptions* each) { return each->type() == "mamba"; });
  if (mamba_alone) return kAlone;
  if (is_of_type(stack, layer, "mamba") && is_of_type(stack, layer + 1, "attention") &&
      is_of_type(stack, layer + 2, "mlp"))
    return kTriple;
  if (!is_of_type(stack, layer + 1, "mlp"))
    refuse_layer(layer,
                 "is in no block of the study's naming, which has a mixer and its MLP, or mamba, attention, MLP");
  if (is_of_type(stack, layer, "mega_s6")) return kMegaPair;
  return kPair;
}

void add_layer(TensorList& list, const MixerOptions& options, const LayerNames& names) {
  for (const StudyMixer& mixer : kMixers)
    if (mixer.type == options.type()) return mixer.add(list, options, names);
  refuse_layer(names.layer, fmt::format("is of type '{}', which the study's naming does not have", options.type()));
}

}  // namespace

std::vector<std::size_t> study_blocks(const ModelSpec& model) {
  const Stack stack = model.stack();
  std::vector<std::size_t> last;
  for (std::size_t layer = 0; layer < stack.size(); layer = last.back() + 1)
    last.push_back(layer + block_at(stack, layer).size() - 1);
  return last;
}

void add_study_layers(TensorList& list, const ModelSpec& model) {
  const Stack stack = model.stack();
  for (std::size_t layer = 0, block = 0; layer < stack.size(); ++block) {
    for (const Place& place : block_at(stack, layer)) {
      const std::string theirs = fmt::format("transformer.h.{}.", block), ours = our_prefix(layer);
      list.vector(theirs + place.norm + "weight", ours + "norm.weight", model.options.width);
      add_layer(list, *stack[layer], {model.shape(), layer, theirs + place.mixer, ours});
      ++layer;
    }
  }
}

}  // namespace mestre
