// config.json beside the weights of a model: which model they are of, and how they are named.
//
// That of a Hugging Face library (core/spec/hugging_face.h) for llama, mistral and mamba; for other layouts one of
// ours:
//   {"format":1,"layout":"study","max_position_embeddings":4096,"model":{…},"model_type":"mestre",
//    "versions":{"attention":1,…}}
// with the canonical JSON of the model, and the versions of what gives it its meaning.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/spec/model.h"

namespace mestre {

/// How the tensors of a file of weights are named and cut.
enum class CheckpointLayout {
  kMestre,  // by our own parameters
  kLlama,   // Hugging Face's Llama and Mistral
  kMamba,   // Hugging Face's Mamba
  kStudy,   // the Samba study's public code
};

struct ModelConfig {
  ModelSpec model;  // resolved
  CheckpointLayout layout = CheckpointLayout::kMestre;
  std::int64_t longest = 0;  // tokens of the sequences that it was made for; 0: not known
};

/// The names under which users ask for a layout: "huggingface", "mestre", "study".
[[nodiscard]] std::vector<std::string> layout_names();
/// The layout of that name for such a model: "huggingface" is Llama's or Mamba's. Throws Error (bad_input) where the
/// name is none of layout_names().
[[nodiscard]] CheckpointLayout layout_named(std::string_view name, const ModelSpec& model);

/// Throws Error (bad_input) where `text` is no such configuration, is of another family, or has a member that our
/// mixers cannot express (biases, scaled rotary positions …); newer_version where a later Mestre wrote it.
[[nodiscard]] ModelConfig read_model_config(std::string_view text);
/// The text of config.json. Throws Error (bad_input) where the layout's library cannot express the model.
[[nodiscard]] std::string write_model_config(const ModelConfig& config);

}  // namespace mestre
