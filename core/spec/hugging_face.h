// config.json as Hugging Face's library writes it, for the families that our mixers express: llama, mistral and mamba.
#pragma once

#include <string>
#include <string_view>

#include "core/spec/model_config.h"

namespace mestre {

/// As read_model_config, for these families alone.
[[nodiscard]] ModelConfig read_hugging_face_config(std::string_view text);

/// Mamba's for a model of nothing but Mamba layers, else Llama's.
[[nodiscard]] CheckpointLayout hugging_face_layout(const ModelSpec& model);
/// A configuration with which the library builds the same model: mistral where attention has a window, else llama; or
/// mamba. Throws Error (bad_input) that says why no family can express the model.
[[nodiscard]] std::string write_hugging_face_config(const ModelConfig& config);

}  // namespace mestre
