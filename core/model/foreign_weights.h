// Weights from one layout to another, by the lists of checkpoint_names.h; and into a model.
//
// Values are moved, never changed: a tensor keeps its type, so that what is loaded and saved again has the same bytes.
// Only where one of our parameters is made of tensors of several types does it take the widest.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/model/checkpoint_names.h"
#include "core/model/language_model.h"
#include "core/model/safetensors.h"

namespace mestre {

/// Values (or gradients) of our parameters by name.
using TensorsByName = std::map<std::string, at::Tensor>;

/// Our parameters from the tensors of a file; those that are one tensor there are views of it. Throws Error (bad_input)
/// that lists the tensors which are missing, have another shape, are no floating-point numbers, or have no place in the
/// model; and a second head that differs from the embedding it is tied to.
[[nodiscard]] TensorsByName from_foreign(std::span<const ForeignTensor> tensors, const Safetensors& file);

/// The value of one foreign tensor, contiguous.
[[nodiscard]] at::Tensor to_foreign(const ForeignTensor& tensor, const TensorsByName& ours);
/// All that the layout writes.
[[nodiscard]] std::vector<NamedTensor> to_foreign(std::span<const ForeignTensor> tensors, const TensorsByName& ours);

/// Fills every parameter of `model`, in its own type. The names must be its own.
void load_weights(LanguageModel& model, const TensorsByName& weights);

}  // namespace mestre
