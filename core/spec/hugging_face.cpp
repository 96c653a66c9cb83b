#include "core/spec/hugging_face.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/options.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::kBadInput, "config.json " + message).hint("expected a llama, mistral or mamba model");
}

std::int64_t count(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || !found->is_number_integer() || found->get<std::int64_t>() < 1 ||
      found->get<std::int64_t>() > (std::int64_t{1} << 32))
    refuse(fmt::format("has no count '{}'", key));
  return found->get<std::int64_t>();
}

bool is_set(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && !found->is_null() && *found != false;
}

template <class T>
T value_or(const Json& config, const char* key, T fallback) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null() ? fallback : found->get<T>();
}

// Newer files keep the base in rope_parameters.
double rope_base(const Json& config) {
  const auto parameters = config.find("rope_parameters");
  const Json& holder = parameters != config.end() && parameters->is_object() ? *parameters : config;
  if (value_or<std::string>(holder, "rope_type", "default") != "default" || is_set(config, "rope_scaling"))
    refuse("scales rotary positions");
  if (value_or(holder, "partial_rotary_factor", 1.0) != 1) refuse("turns a part of each head alone");
  return value_or(holder, "rope_theta", 10000.0);
}

// SiLU goes by two names.
void require_silu(const Json& config) {
  const auto activation = value_or<std::string>(config, "hidden_act", "silu");
  if (activation != "silu" && activation != "swish") refuse(fmt::format("has the activation '{}'", activation));
}

void read_transformer(const Json& config, ModelSpec& model) {
  if (is_set(config, "attention_bias") || is_set(config, "mlp_bias")) refuse("has biases");
  require_silu(config);
  auto attention = std::make_unique<AttentionOptions>();
  attention->heads = count(config, "num_attention_heads");
  attention->kv_heads = value_or(config, "num_key_value_heads", attention->heads);
  if (is_set(config, "sliding_window")) attention->window = count(config, "sliding_window");
  attention->rope_base = rope_base(config);
  if (is_set(config, "head_dim") && count(config, "head_dim") * attention->heads != model.options.width)
    refuse("has heads that do not fill the width");
  auto mlp = std::make_unique<MlpOptions>();
  mlp->intermediate = count(config, "intermediate_size");
  model.options.layers = {"attention", "mlp"};
  model.options.norm_epsilon = value_or(config, "rms_norm_eps", 1e-6);
  model.options.tied_head = value_or(config, "tie_word_embeddings", false);
  model.instances.emplace("attention", std::move(attention));
  model.instances.emplace("mlp", std::move(mlp));
}

void read_mamba(const Json& config, ModelSpec& model) {
  if (is_set(config, "use_bias")) refuse("has biases");
  if (!value_or(config, "use_conv_bias", true)) refuse("has a convolution without bias");
  require_silu(config);
  auto mamba = std::make_unique<MambaOptions>();
  mamba->expand = value_or<std::int64_t>(config, "expand", 2);
  mamba->state = value_or<std::int64_t>(config, "state_size", 16);
  mamba->convolution = value_or<std::int64_t>(config, "conv_kernel", 4);
  const auto rank = config.find("time_step_rank");
  if (rank != config.end() && rank->is_number_integer()) mamba->rank = count(config, "time_step_rank");
  if (is_set(config, "intermediate_size") && count(config, "intermediate_size") != mamba->expand * model.options.width)
    refuse("has an inner width that is not its expansion of the width");
  model.options.layers = {"mamba"};
  model.options.norm_epsilon = value_or(config, "layer_norm_epsilon", 1e-5);
  model.options.tied_head = value_or(config, "tie_word_embeddings", true);
  model.instances.emplace("mamba", std::move(mamba));
}

ModelConfig read_config(const Json& config) {
  if (!config.is_object()) refuse("is no JSON object");
  const auto family = value_or<std::string>(config, "model_type", "");
  ModelConfig result;
  ModelSpec& model = result.model;
  model.options.width = count(config, "hidden_size");
  model.options.repeat = count(config, "num_hidden_layers");
  model.options.vocabulary = count(config, "vocab_size");
  if (family == "llama" || family == "mistral") {
    read_transformer(config, model);
    result.layout = CheckpointLayout::kLlama;
  } else if (family == "mamba") {
    read_mamba(config, model);
    result.layout = CheckpointLayout::kMamba;
  } else {
    refuse(fmt::format("is of the family '{}'", family));
  }
  if (is_set(config, "max_position_embeddings")) result.longest = count(config, "max_position_embeddings");
  model.resolve(model.options.vocabulary);
  for (const auto& [name, mixer] : model.instances)
    mixer->check(model.shape(), [](std::string_view field, const std::string& message, const std::string&) {
      refuse(fmt::format("has a {} that cannot be: {}", field, message));
    });
  return result;
}

}  // namespace

ModelConfig read_hugging_face_config(std::string_view text) {
  try {
    return read_config(Json::parse(text));
  } catch (const Json::exception& problem) {
    refuse(fmt::format("cannot be read: {}", problem.what()));
  }
}

}  // namespace mestre
