#include "core/spec/model_config.h"

#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/spec/hugging_face.h"
#include "core/spec/job.h"

namespace mestre {
namespace {

using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr const char* kOurFamily = "mestre";
constexpr std::array<std::pair<const char*, CheckpointLayout>, 2> kOurLayouts = {
    {{"mestre", CheckpointLayout::kMestre}, {"study", CheckpointLayout::kStudy}}};

// Of the mixers alone: how a model was initialised and trained says nothing about what its weights compute.
Json versions_of(const ModelSpec& model) {
  Json versions = Json::object();
  for (const auto& [name, mixer] : model.instances) versions[std::string(mixer->type())] = mixer->version();
  return versions;
}

[[noreturn]] void refuse_config(const std::string& message) {
  throw Error(ErrorCode::kBadInput, "config.json " + message);
}

CheckpointLayout our_layout(const std::string& name) {
  for (const auto& [known, layout] : kOurLayouts)
    if (known == name) return layout;
  refuse_config(fmt::format("has the unknown layout '{}'", name));
}

ModelConfig read_ours(const Json& json) {
  const int format = json.at("format").get<int>();
  if (format > kFormat)
    throw Error(ErrorCode::kNewerVersion,
                fmt::format("config.json has format {}, this build reads up to {}", format, kFormat));
  ModelConfig config{.model = parse_model(json.at("model").dump()),
                     .layout = our_layout(json.at("layout").get<std::string>())};
  config.longest = json.value("max_position_embeddings", std::int64_t{0});
  const ModelOptions& options = config.model.options;
  if (options.width < 1 || options.vocabulary < 1 || options.repeat < 1 || options.layers.empty())
    refuse_config("has a model without width, vocabulary or layers");
  for (const std::string& layer : options.layers)
    if (!config.model.instances.contains(layer)) refuse_config(fmt::format("has a layer '{}' without options", layer));
  for (const auto& [name, mixer] : config.model.instances)
    mixer->check(config.model.shape(), [](std::string_view field, const std::string& message, const std::string&) {
      refuse_config(fmt::format("has a {} that cannot be: {}", field, message));
    });
  if (const Json ours = versions_of(config.model), &theirs = json.at("versions"); theirs != ours)
    refuse_config(fmt::format("needs the mixers {}, but this build has {}", theirs.dump(), ours.dump()));
  return config;
}

}  // namespace

std::vector<std::string> layout_names() {
  return {"huggingface", "mestre", "study"};
}

CheckpointLayout layout_named(std::string_view name, const ModelSpec& model) {
  if (name == "huggingface") return hugging_face_layout(model);
  for (const auto& [known, layout] : kOurLayouts)
    if (known == name) return layout;
  throw Error(ErrorCode::kBadInput, fmt::format("unknown layout '{}'", name))
      .hint("expected one of huggingface, mestre, study");
}

ModelConfig read_model_config(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    const bool ours = json.is_object() && json.value("model_type", "") == kOurFamily;
    return ours ? read_ours(json) : read_hugging_face_config(text);
  } catch (const Json::exception& problem) {
    refuse_config(fmt::format("cannot be read: {}", problem.what()));
  }
}

std::string write_model_config(const ModelConfig& config) {
  for (const auto& [name, layout] : kOurLayouts) {
    if (layout != config.layout) continue;
    Json json = {{"model_type", kOurFamily},
                 {"format", kFormat},
                 {"layout", name},
                 {"model", Json::parse(canonical_json(config.model))},
                 {"versions", versions_of(config.model)}};
    if (config.longest > 0) json["max_position_embeddings"] = config.longest;
    return json.dump(2) + "\n";
  }
  return write_hugging_face_config(config);
}

}  // namespace mestre
