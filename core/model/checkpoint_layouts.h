// What the layouts of checkpoint_names.h are written with; for its sources alone.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/checkpoint_names.h"

namespace mestre {

/// Collects the tensors of a layout. `theirs` and `ours` are names in full.
class TensorList {
 public:
  void vector(std::string theirs, const std::string& ours, std::int64_t size) {
    tensors_.push_back({.name = std::move(theirs), .shape = {size}, .row = {}, .parts = {{ours, 0, size}}});
  }
  void matrix(std::string theirs, const std::string& ours, std::int64_t rows, std::int64_t columns) {
    rows_of_matrix(std::move(theirs), {{ours, 0, rows}}, columns);
  }
  void rows_of_matrix(std::string theirs, std::vector<RowRange> parts, std::int64_t columns) {
    std::int64_t rows = 0;
    for (const RowRange& part : parts) rows += part.rows;
    tensors_.push_back(
        {.name = std::move(theirs), .shape = {rows, columns}, .row = {columns}, .parts = std::move(parts)});
  }
  /// Depthwise taps: [channels, 1, taps] there, [channels, taps] here.
  void convolution(std::string theirs, const RowRange& part, std::int64_t taps) {
    tensors_.push_back({.name = std::move(theirs), .shape = {part.rows, 1, taps}, .row = {taps}, .parts = {part}});
  }
  void add(ForeignTensor tensor) { tensors_.push_back(std::move(tensor)); }
  [[nodiscard]] std::vector<ForeignTensor> take() { return std::move(tensors_); }

 private:
  std::vector<ForeignTensor> tensors_;
};

/// One layer of a model with the prefixes of its names there and here ("layers.3.").
struct LayerNames {
  ModelShape shape;
  std::size_t layer = 0;  // ours
  std::string theirs;
  std::string ours;
};

inline std::string our_prefix(std::size_t layer) {
  return fmt::format("layers.{}.", layer);
}

[[noreturn]] inline void refuse_layer(std::size_t layer, const std::string& why) {
  throw Error(ErrorCode::kBadInput, fmt::format("layer {} of the model {}", layer, why))
      .hint("the layout 'mestre' has a place for every model");
}

/// The options of a layer that must be of type T.
template <class T>
const T& layer_of_type(const std::vector<const MixerOptions*>& stack, std::size_t layer) {
  const T* options = layer < stack.size() ? dynamic_cast<const T*>(stack[layer]) : nullptr;
  if (options == nullptr)
    refuse_layer(layer, fmt::format("is not of the type '{}' that the layout has there", T().type()));
  return *options;
}

/// Mamba's tensors, which bear the same names everywhere: `theirs` is the prefix of the mixer.
void add_mamba(TensorList& list, const MixerOptions& options, const LayerNames& names);

void add_llama_layers(TensorList& list, const ModelSpec& model);
void add_mamba_layers(TensorList& list, const ModelSpec& model);
void add_study_layers(TensorList& list, const ModelSpec& model);

/// For each block of the study's naming, the index of its last layer.
[[nodiscard]] std::vector<std::size_t> study_blocks(const ModelSpec& model);

}  // namespace mestre
