// How the weights of the models that we know are named and cut, by us and by others, so that checkpoints can be loaded
// and saved in each of these layouts.
//
// A layout is a list of tensors, each made of rows of our parameters. Another one needs a line in the table of
// checkpoint_names.cpp, a function that lists the tensors of its layers (layout_*.cpp), and a config.json
// (core/spec/model_config.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/spec/model_config.h"

namespace mestre {

/// Rows [first_row, first_row + rows) of one of our parameters.
struct RowRange {
  std::string parameter;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
};

/// A tensor of a layout: the rows of its parts, one part after the other, perhaps under another shape.
struct ForeignTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> row;  // the shape of one row of our parameters; empty where they are vectors
  std::vector<RowRange> parts;
  bool is_copy = false;    // another name for what a tensor before it holds; may be absent
  bool is_written = true;  // false: only accepted, a copy that the layout's own library leaves out
};

/// All tensors of such a model; without the copies they cover each of its parameters exactly once. Throws Error
/// (bad_input) where the layout has no place for one of the model's layers.
[[nodiscard]] std::vector<ForeignTensor> foreign_tensors(const ModelSpec& model, CheckpointLayout layout);

/// For each layer as the layout counts them (a block of Llama is attention and MLP), the index of the last of ours in
/// it. Throws as foreign_tensors.
[[nodiscard]] std::vector<std::size_t> last_layers(const ModelSpec& model, CheckpointLayout layout);

/// Whether files of other libraries hold tensors of that name which are no weights and follow from the configuration.
[[nodiscard]] bool is_derived_tensor(std::string_view name);

}  // namespace mestre
