#include "core/spec/model.h"

#include "core/base/error.h"

namespace mestre {

void ModelOptions::describe(OptionVisitor& visitor) {
  visitor.visit({.name = "vocabulary",
                 .doc = "rows of the embedding; 0: as many as the tokenizer has tokens",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 1e7},
                vocabulary);
  visitor.visit({.name = "width",
                 .doc = "elements of the residual stream",
                 .unit = Unit::kCount,
                 .min = 1,
                 .max = 1e6,
                 .required = true},
                width);
  visitor.visit({.name = "layers", .doc = "mixer instances in order, one pattern", .required = true}, layers);
  visitor.visit(
      {.name = "repeat", .doc = "how often the pattern of layers stands", .unit = Unit::kCount, .min = 1, .max = 10000},
      repeat);
  visitor.visit({.name = "layers_per_block",
                 .doc = "layers of a block; 0: 2 where the pattern has an even number, else all",
                 .unit = Unit::kCount,
                 .min = 0,
                 .max = 10000},
                layers_per_block);
  visitor.visit({.name = "tied_head", .doc = "the head shares the embedding's weights"}, tied_head);
  visitor.visit({.name = "norm_epsilon", .doc = "added to the mean square in RMSNorm", .min = 0, .max = 1},
                norm_epsilon);
  visitor.visit({.name = "initialization",
                 .doc = "mamba: N(0, 0.02) embeddings, Kaiming linears, outputs divided by sqrt(residual layers); "
                        "scaled: normal by width, as for untied heads",
                 .choices = {"mamba", "scaled"}},
                initialization);
}

std::int64_t ModelOptions::block_length() const {
  if (layers_per_block > 0) return layers_per_block;
  return layers.size() % 2 == 0 ? 2 : static_cast<std::int64_t>(layers.size());
}

ModelSpec::ModelSpec(const ModelSpec& other) : options(other.options) {
  for (const auto& [name, mixer] : other.instances) instances.emplace(name, mixer->clone());
}

ModelSpec& ModelSpec::operator=(const ModelSpec& other) {
  if (this != &other) *this = ModelSpec(other);
  return *this;
}

std::vector<const MixerOptions*> ModelSpec::stack() const {
  std::vector<const MixerOptions*> stack;
  stack.reserve(static_cast<std::size_t>(options.depth()));
  for (std::int64_t turn = 0; turn < options.repeat; ++turn) {
    for (const std::string& name : options.layers) {
      const auto found = instances.find(name);
      if (found == instances.end()) throw Error(ErrorCode::kBug, "layer '" + name + "' has no options");
      stack.push_back(found->second.get());
    }
  }
  return stack;
}

void ModelSpec::resolve(std::int64_t vocabulary) {
  if (options.vocabulary == 0) options.vocabulary = vocabulary;
  options.layers_per_block = options.block_length();
  for (auto& [name, mixer] : instances) mixer->resolve(shape());
}

std::int64_t ModelSpec::parameters_without_embeddings() const {
  const ModelShape around = shape();
  std::int64_t sum = around.width;  // the final norm
  for (const MixerOptions* mixer : stack()) sum += around.width + mixer->parameters(around);
  return sum;
}

std::int64_t ModelSpec::parameters() const {
  return parameters_without_embeddings() + options.vocabulary * options.width * (options.tied_head ? 1 : 2);
}

double ModelSpec::forward_flops(std::int64_t length) const {
  const ModelShape around = shape();
  double sum = 2.0 * static_cast<double>(options.vocabulary) * static_cast<double>(options.width);
  for (const MixerOptions* mixer : stack()) sum += mixer->forward_flops(around, length);
  return sum;
}

double ModelSpec::activation_bytes(std::int64_t length, double element) const {
  const ModelShape around = shape();
  double sum = 0;
  for (const MixerOptions* mixer : stack())
    sum += mixer->activation_bytes(around, length, element) +
           4.0 * static_cast<double>(around.width);  // the fp32 residual
  return sum;
}

double ModelSpec::logit_bytes(double element) const {
  return 2.0 * static_cast<double>(options.vocabulary) * element;
}

std::string canonical_json(const ModelSpec& model) {
  JsonObject instances;
  for (const auto& [name, mixer] : model.instances) {
    std::string options = canonical_json(static_cast<const Options&>(*mixer));
    JsonObject with_type;
    with_type.raw("options", std::move(options)).text("type", mixer->type());
    instances.raw(name, with_type.str());
  }
  JsonObject object;
  object.raw("instances", instances.str()).raw("options", canonical_json(static_cast<const Options&>(model.options)));
  return object.str();
}

}  // namespace mestre
