#include "core/spec/model_reader.h"

#include <algorithm>
#include <deque>
#include <tuple>

#include <fmt/format.h>

#include "core/mixers/registry.h"
#include "core/spec/model_blocks.h"
#include "core/spec/option_reader.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

// What the settings say of one instance.
struct Instance {
  std::string name;
  Position place;  // where it is first named
  bool in_layers = false;
  const Setting* type = nullptr;
  std::vector<const Setting*> options;
};

}  // namespace

struct ModelReader::Impl {
  explicit Impl(Diagnostics& to) : diagnostics(to), schema(model_options) {}

  // Schemas and the values read so far are shared by all models of a sweep.
  const OptionSchema& schema_of(const MixerType& type) {
    auto found = schemas.find(type.name);
    if (found == schemas.end()) {
      const std::unique_ptr<MixerOptions> prototype = type.make();
      found = schemas.emplace(type.name, OptionSchema(*prototype)).first;
    }
    return found->second;
  }

  std::vector<const ReadSetting*> read_once(const OptionSchema& with, const std::vector<const Setting*>& settings,
                                            std::size_t prefix, const std::string& owner) {
    std::vector<const ReadSetting*> read;
    for (const Setting* setting : settings) {
      const auto key = std::make_pair(&with, setting);
      auto found = values.find(key);
      if (found == values.end())
        found = values.emplace(key, read_settings(with, {setting}, prefix, owner, diagnostics)).first;
      for (const ReadSetting& one : found->second) read.push_back(&one);
      sound = sound && !found->second.empty();
    }
    return read;
  }

  // One report for each place: a width that suits no head count is one mistake, however many widths there are.
  void report(Position place, std::string message, std::vector<std::string> notes) {
    sound = false;
    if (reported.insert(place).second) diagnostics.error(place, std::move(message), std::move(notes));
  }

  std::map<std::string, Instance> sort_out(const std::vector<const Setting*>& settings,
                                           std::vector<const Setting*>& scalars, std::vector<const Setting*>& blocks) {
    std::map<std::string, Instance> instances;
    for (const Setting* setting : settings) {
      const KeyPart& part = setting->path[1];
      if (is_block_setting(*setting)) {
        blocks.push_back(setting);
        continue;
      }
      const bool is_table = setting->path.size() > 2 || setting->value->is(Kind::kTable);
      if (schema.find(part.name) >= 0 || !is_table) {
        scalars.push_back(setting);
        continue;
      }
      Instance& instance = instances[part.name];
      if (instance.name.empty()) {
        instance.name = part.name;
        instance.place = part.where;
      }
      if (setting->path.size() == 3 && setting->path[2].name == "type") {
        instance.type = setting;
      } else if (setting->path.size() > 2) {
        instance.options.push_back(setting);
      }
    }
    return instances;
  }

  // Puts the blocks of their own into the pattern; `places` says where each layer is named. False where some
  // do not fit.
  bool lay_out(const Setting& layers, const Setting* layers_per_block, const std::vector<const Setting*>& settings,
               ModelOptions& options, std::vector<Position>& places) {
    for (const TomlValue& element : layers.value->elements) places.push_back(element.where);
    const auto count = static_cast<std::int64_t>(options.layers.size());
    if (count > kMostLayers / options.repeat) {
      report(layers.value->where, fmt::format("{} layers {} times", count, options.repeat),
             {fmt::format("expected at most {} layers in all", kMostLayers)});
      return false;
    }
    if (options.depth() % options.block_length() != 0) {
      report((layers_per_block != nullptr ? layers_per_block : &layers)->value->where,
             fmt::format("{} layers are no whole blocks of {}", options.depth(), options.block_length()),
             {"expected model.layers_per_block to divide the number of layers (the pattern times repeat)"});
      return false;
    }
    const auto complain = [this](Position at, std::string message, std::vector<std::string> notes) {
      report(at, std::move(message), std::move(notes));
    };
    std::vector<BlockSetting> blocks;
    bool read_all = true;
    for (const Setting* setting : settings) {
      if (setting->path.size() == 2 && setting->value->is(Kind::kTable)) continue;  // [model.blocks], and nothing in it
      std::optional<BlockSetting> block = read_block_setting(*setting, complain);
      read_all = read_all && block.has_value();
      if (block) blocks.push_back(std::move(*block));
    }
    return replace_blocks(blocks, options, places, complain) && read_all;
  }

  // Adds the instances that are only named in layers, and marks those that stand there. False where one is unknown.
  bool add_layers(const ModelOptions& options, const std::vector<Position>& places,
                  std::map<std::string, Instance>& instances) {
    bool known_all = true;
    for (std::size_t i = 0; i < options.layers.size(); ++i) {
      const std::string& name = options.layers[i];
      Instance& instance = instances[name];
      if (instance.name.empty()) {
        instance.name = name;
        instance.place = places[i];
        if (find_mixer_type(name) == nullptr) {
          known_all = false;
          std::vector<std::string> known = mixer_type_names();
          for (const auto& [other, declared] : instances)
            if (other != name) known.push_back(other);
          const std::string near = nearest(name, known);
          report(instance.place, fmt::format("unknown mixer '{}'", escaped(name)),
                 {"expected a mixer or an instance declared in [model.<name>]" +
                      (near.empty() ? "" : fmt::format("; did you mean '{}'?", near)),
                  fmt::format("mixers: {}", fmt::join(mixer_type_names(), ", "))});
        }
      }
      instance.in_layers = true;
    }
    return known_all;
  }

  const MixerType* type_of(const Instance& instance) {
    if (instance.type == nullptr) {
      const MixerType* type = find_mixer_type(instance.name);
      if (type == nullptr && !reported.contains(instance.place))
        report(instance.place, fmt::format("instance '{}' has no type", escaped(instance.name)),
               {fmt::format("expected type = \"…\" in [model.{}]: {}", escaped(instance.name),
                            expected_one_of("", mixer_type_names()).substr(9))});
      sound = sound && type != nullptr;
      return type;
    }
    const TomlValue& value = *instance.type->value;
    const MixerType* type = value.is(Kind::kText) ? find_mixer_type(value.text) : nullptr;
    if (type == nullptr)
      report(value.where, fmt::format("unknown mixer {}", shown(value)),
             {expected_one_of(value.text, mixer_type_names())});
    return type;
  }

  void read_instance(const Instance& instance, ModelSpec& model,
                     std::map<std::string, std::vector<const Setting*>>& sources) {
    const MixerType* type = type_of(instance);
    if (type == nullptr) return;
    const std::string owner = instance.name == type->name
                                  ? fmt::format("mixer '{}'", type->name)
                                  : fmt::format("mixer '{}' ({})", escaped(instance.name), type->name);
    std::unique_ptr<MixerOptions> options = type->make();
    const OptionSchema& known = schema_of(*type);
    const std::vector<const ReadSetting*> read = read_once(known, instance.options, 2, owner);
    sound = apply_settings(known, read, *options, sources[instance.name], owner, instance.place, diagnostics) && sound;
    model.instances.emplace(instance.name, std::move(options));
  }

  void check(const ModelSpec& model, const std::map<std::string, Instance>& instances,
             const std::map<std::string, std::vector<const Setting*>>& sources) {
    for (const auto& [name, options] : model.instances) {
      const OptionSchema& known = schema_of(*find_mixer_type(options->type()));
      const Instance& instance = instances.at(name);
      const std::vector<const Setting*>& setters = sources.at(name);
      options->check(model.shape(), [&](std::string_view field, std::string message, std::string expectation) {
        const int index = known.find(field);
        const Setting* setter = index >= 0 ? setters[static_cast<std::size_t>(index)] : nullptr;
        report(setter != nullptr ? setter->value->where : instance.place, std::move(message), {std::move(expectation)});
      });
    }
  }

  // Without a vocabulary, a draft.
  std::optional<ModelSpec> read(const std::vector<const Setting*>& settings, const ModelOwner& owner,
                                std::optional<std::int64_t> vocabulary) {
    sound = true;
    ModelSpec model;
    std::vector<const Setting*> scalars;
    std::vector<const Setting*> blocks;
    std::map<std::string, Instance> instances = sort_out(settings, scalars, blocks);
    std::vector<const Setting*> scalar_sources;
    const std::vector<const ReadSetting*> read = read_once(schema, scalars, 1, "[model]");
    sound = apply_settings(schema, read, model.options, scalar_sources, owner.name, owner.place, diagnostics) && sound;
    const auto setter = [&](std::string_view field) {
      return scalar_sources[static_cast<std::size_t>(schema.find(field))];
    };
    const Setting* layers = setter("layers");
    if (layers == nullptr || model.options.layers.empty()) return std::nullopt;
    std::vector<Position> places;
    const bool laid_out = lay_out(*layers, setter("layers_per_block"), blocks, model.options, places);
    const bool known_all = add_layers(model.options, places, instances) && laid_out;
    sound = sound && laid_out;

    std::map<std::string, std::vector<const Setting*>> sources;
    std::vector<std::string> present;
    for (const auto& [name, instance] : instances)
      if (instance.in_layers) present.push_back(name);
    for (const auto& [name, instance] : instances) {
      if (instance.in_layers) {
        read_instance(instance, model, sources);
      } else if (known_all) {  // else it may be the one that was meant
        report(instance.place, fmt::format("{} has no layer '{}'", owner.name, escaped(name)),
               {expected_one_of(name, present),
                "options for some cells only stand in a [[when]], or in an [[axis]] with a where"});
      }
    }
    if (!sound) return std::nullopt;
    if (!vocabulary) return model;
    model.resolve(*vocabulary);
    check(model, instances, sources);
    if (!sound) return std::nullopt;
    return model;
  }

  Diagnostics& diagnostics;
  ModelOptions model_options;
  OptionSchema schema;
  std::map<std::string_view, OptionSchema> schemas;
  std::map<std::pair<const OptionSchema*, const Setting*>, std::vector<ReadSetting>> values;
  std::set<Position> reported;
  bool sound = true;
};

ModelReader::ModelReader(Diagnostics& diagnostics) : impl_(std::make_unique<Impl>(diagnostics)) {}
ModelReader::~ModelReader() = default;

std::optional<ModelSpec> ModelReader::read(const std::vector<const Setting*>& settings, const ModelOwner& owner,
                                           std::int64_t vocabulary) {
  return impl_->read(settings, owner, vocabulary);
}

std::optional<ModelSpec> ModelReader::draft(const std::vector<const Setting*>& settings, const ModelOwner& owner) {
  return impl_->read(settings, owner, std::nullopt);
}

}  // namespace mestre
