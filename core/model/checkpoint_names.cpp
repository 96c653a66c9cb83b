#include "core/model/checkpoint_names.h"

#include <algorithm>
#include <array>

#include <ATen/ATen.h>

#include "core/model/checkpoint_layouts.h"
#include "core/model/language_model.h"

namespace mestre {
namespace {

/// The names around the layers, and what lists the layers.
struct LayoutNames {
  CheckpointLayout layout;
  const char* embedding;
  const char* final_norm;
  void (*add_layers)(TensorList& list, const ModelSpec& model);
  bool writes_tied_head;  // under the head's name too
};

constexpr std::array<LayoutNames, 3> kLayouts = {{
    {CheckpointLayout::kLlama, "model.embed_tokens.weight", "model.norm.weight", add_llama_layers, false},
    {CheckpointLayout::kMamba, "backbone.embeddings.weight", "backbone.norm_f.weight", add_mamba_layers, false},
    {CheckpointLayout::kStudy, "transformer.wte.weight", "transformer.ln_f.weight", add_study_layers, true},
}};

constexpr const char* kHead = "lm_head.weight";

std::vector<ForeignTensor> our_own(const ModelSpec& model) {
  std::vector<ForeignTensor> tensors;
  for (const auto& parameter : LanguageModel(model).named_parameters()) {
    const std::vector<std::int64_t> shape = parameter.value().sizes().vec();
    tensors.push_back({.name = parameter.key(),
                       .shape = shape,
                       .row = {shape.begin() + 1, shape.end()},
                       .parts = {{parameter.key(), 0, shape.front()}}});
  }
  return tensors;
}

std::vector<std::size_t> every_nth(std::size_t layers, std::size_t n) {
  std::vector<std::size_t> last;
  for (std::size_t layer = n - 1; layer < layers; layer += n) last.push_back(layer);
  return last;
}

}  // namespace

std::vector<ForeignTensor> foreign_tensors(const ModelSpec& model, CheckpointLayout layout) {
  if (layout == CheckpointLayout::kMestre) return our_own(model);
  const auto names =
      std::find_if(kLayouts.begin(), kLayouts.end(), [&](const LayoutNames& each) { return each.layout == layout; });
  const auto [width, vocabulary] = model.shape();
  const bool tied = model.options.tied_head;
  TensorList list;
  list.matrix(names->embedding, "embedding.weight", vocabulary, width);
  names->add_layers(list, model);
  list.vector(names->final_norm, "final_norm.weight", width);
  list.add({.name = kHead,
            .shape = {vocabulary, width},
            .row = {width},
            .parts = {{tied ? "embedding.weight" : "head.weight", 0, vocabulary}},
            .is_copy = tied,
            .is_written = !tied || names->writes_tied_head});
  return list.take();
}

std::vector<std::size_t> last_layers(const ModelSpec& model, CheckpointLayout layout) {
  const std::size_t layers = model.stack().size();
  switch (layout) {
    case CheckpointLayout::kMestre:
    case CheckpointLayout::kMamba:
      return every_nth(layers, 1);
    case CheckpointLayout::kLlama:
      return every_nth(layers, 2);
    case CheckpointLayout::kStudy:
      return study_blocks(model);
  }
  throw Error(ErrorCode::kBug, "a layout of no known kind");
}

// The angles of rotary positions, and a scalar that only remembers a type.
bool is_derived_tensor(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") || name.ends_with("rel_pos_bias._float_tensor");
}

}  // namespace mestre
