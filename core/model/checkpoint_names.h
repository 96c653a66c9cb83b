// How other libraries name and cut the weights of the models that we know, so that their checkpoints can be loaded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/model/language_model.h"
#include "core/model/safetensors.h"

namespace mestre {

/// Layouts of Hugging Face's library: `model.layers.…` of Llama and Mistral, whose decoder layer is our attention layer
/// and the MLP behind it, and `backbone.layers.…` of Mamba.
enum class CheckpointLayout { kLlama, kMamba };

/// A foreign tensor holds rows [first_row, first_row + rows) of one of our parameters, perhaps under another shape.
struct ForeignTensor {
  std::string name;
  std::string parameter;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;

  /// The part of `parameter`'s value (or gradient) that the foreign tensor holds, as a view.
  [[nodiscard]] at::Tensor part_of(const at::Tensor& value) const { return value.narrow(0, first_row, rows); }
};

/// All foreign tensors of such a model, which cover each of its parameters exactly. Throws Error (bad_input) where the
/// layout has no place for one of the model's layers.
[[nodiscard]] std::vector<ForeignTensor> foreign_tensors(const ModelSpec& model, CheckpointLayout layout);

/// Fills every parameter of `model` from `file`. Throws Error (checkpoint_corrupt) where a tensor is missing or has
/// another number of elements, or the file holds one that the model has no use for.
void load_foreign(LanguageModel& model, const Safetensors& file, CheckpointLayout layout);

}  // namespace mestre
