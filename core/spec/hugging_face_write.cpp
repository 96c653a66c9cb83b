// Configurations written for Hugging Face's library.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/options.h"
#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/options.h"
#include "core/spec/hugging_face.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

// Where nobody says; the library computes longer sequences all the same.
constexpr std::int64_t kLongest = 4096;

[[noreturn]] void refuse_model(const std::string& why) {
  throw Error(ErrorCode::kBadInput, "no family of Hugging Face's expresses the model: " + why)
      .hint("the layouts 'study' and 'mestre' may");
}

/// The options that layers `first`, `first + step`, … all have.
template <class T>
const T& common_options(const std::vector<const MixerOptions*>& stack, std::size_t first, std::size_t step) {
  const T* common = nullptr;
  for (std::size_t layer = first; layer < stack.size(); layer += step) {
    const T* options = dynamic_cast<const T*>(stack[layer]);
    if (options == nullptr)
      refuse_model(fmt::format("layer {} is of type '{}', expected '{}'", layer, stack[layer]->type(), T().type()));
    if (common != nullptr && canonical_json(*common) != canonical_json(*options))
      refuse_model(fmt::format("layer {} has other options than layer {}", layer, first));
    common = options;
  }
  return *common;
}

Json common_members(const ModelSpec& model, const char* family, const char* architecture) {
  return {{"model_type", family},
          {"architectures", {architecture}},
          {"hidden_act", "silu"},
          {"hidden_size", model.options.width},
          {"vocab_size", model.options.vocabulary},
          {"tie_word_embeddings", model.options.tied_head},
          {"bos_token_id", nullptr},  // the tokenizer's; the defaults would be Llama's
          {"eos_token_id", nullptr},
          {"pad_token_id", nullptr},
          {"use_cache", true}};
}

Json transformer(const ModelSpec& model, std::int64_t longest) {
  const std::vector<const MixerOptions*> stack = model.stack();
  if (stack.size() % 2 != 0) refuse_model("its layers are not pairs of attention and MLP");
  const auto& attention = common_options<AttentionOptions>(stack, 0, 2);
  const auto& mlp = common_options<MlpOptions>(stack, 1, 2);
  if (!attention.rope) refuse_model("its attention has no rotary positions");
  if (attention.short_convolution > 0) refuse_model("its attention has short convolutions");
  const bool mistral = attention.window > 0;
  Json json = mistral ? common_members(model, "mistral", "MistralForCausalLM")
                      : common_members(model, "llama", "LlamaForCausalLM");
  if (mistral) json["sliding_window"] = attention.window;
  json["attention_bias"] = json["mlp_bias"] = false;
  json["num_hidden_layers"] = stack.size() / 2;
  json["num_attention_heads"] = attention.heads;
  json["num_key_value_heads"] = attention.kv_heads;
  json["head_dim"] = attention.head_size(model.shape());
  json["intermediate_size"] = mlp.intermediate;
  json["max_position_embeddings"] = longest > 0 ? longest : kLongest;
  json["rms_norm_eps"] = model.options.norm_epsilon;
  json["rope_theta"] = attention.rope_base;  // where versions before 5 look
  json["rope_parameters"] = {{"rope_theta", attention.rope_base}, {"rope_type", "default"}};
  return json;
}

Json mamba(const ModelSpec& model) {
  const std::vector<const MixerOptions*> stack = model.stack();
  const auto& mamba = common_options<MambaOptions>(stack, 0, 1);
  Json json = common_members(model, "mamba", "MambaForCausalLM");
  json["num_hidden_layers"] = stack.size();
  json["expand"] = mamba.expand;
  json["intermediate_size"] = mamba.inner(model.shape());
  json["state_size"] = mamba.state;
  json["conv_kernel"] = mamba.convolution;
  json["time_step_rank"] = mamba.rank;
  json["layer_norm_epsilon"] = model.options.norm_epsilon;
  json["residual_in_fp32"] = json["use_conv_bias"] = true;
  json["use_bias"] = json["rescale_prenorm_residual"] = false;
  return json;
}

}  // namespace

CheckpointLayout hugging_face_layout(const ModelSpec& model) {
  const std::vector<const MixerOptions*> stack = model.stack();
  const bool mamba_alone =
      std::all_of(stack.begin(), stack.end(), [](const MixerOptions* each) { return each->type() == "mamba"; });
  return mamba_alone ? CheckpointLayout::kMamba : CheckpointLayout::kLlama;
}

std::string write_hugging_face_config(const ModelConfig& config) {
  const bool is_mamba = config.layout == CheckpointLayout::kMamba;
  return (is_mamba ? mamba(config.model) : transformer(config.model, config.longest)).dump(2) + "\n";
}

}  // namespace mestre
