// The architecture of a checkpoint in Hugging Face's layout, from its config.json: llama, mistral and mamba.
#pragma once

#include <string>
#include <string_view>

#include "core/spec/model.h"

namespace mestre {

/// The model that `config` describes, resolved. Throws Error (bad_input) where it is no such configuration, is of
/// another family, or has a member that these mixers cannot express (biases, scaled rotary positions …).
[[nodiscard]] ModelSpec model_of_config(std::string_view config);

}  // namespace mestre
