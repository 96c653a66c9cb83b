// Options as a flat list of names and values, for comparing and explaining cells.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/spec/model.h"

namespace mestre {

using OptionList = std::vector<std::pair<std::string, std::string>>;  // "train.learning_rate", "0.0004"

/// Appends each field, its name behind `prefix` ("train.").
void list_options(const Options& options, const std::string& prefix, OptionList& out);
/// Of the model and its instances: "model.width", "model.swa.type", "model.swa.window".
void list_options(const ModelSpec& model, OptionList& out);

}  // namespace mestre
