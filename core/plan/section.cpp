#include "core/plan/section.h"

#include <algorithm>

namespace mestre {

Section::Section(const Sweep& sweep, const std::string& name, int file, Options& prototype, Diagnostics& diagnostics)
    : scope_(sweep, name), schema_(prototype), owner_("[" + name + "]"), place_{.file = file, .line = 0}, layers_(1) {
  const auto header = sweep.sections.find(name);
  if (header != sweep.sections.end()) place_ = header->second;
  const auto add_layer = [&](const std::vector<Setting>& settings) {
    std::vector<const Setting*>& layer = layers_.emplace_back();
    for (const Setting& setting : settings)
      if (setting.section() == name) layer.push_back(&setting);
  };
  for (const Stage& stage : sweep.stages) add_layer(stage.settings);
  for (const Request& request : sweep.requests) add_layer(request.settings);
  std::vector<const Setting*> all = scope_.all_settings();
  for (const auto& layer : layers_) all.insert(all.end(), layer.begin(), layer.end());
  for (const Setting* setting : all) {
    std::vector<ReadSetting> result = read_settings(schema_, {setting}, 1, owner_, diagnostics);
    read_.emplace(setting, result.empty() ? ReadSetting{} : std::move(result.front()));
  }
}

bool Section::fill(CellIndex cell, std::size_t layer, Options& options, std::vector<const Setting*>& sources,
                   Diagnostics& diagnostics, Completeness completeness) const {
  std::vector<const Setting*> settings = scope_.settings(cell);
  for (const Setting* setting : layers_[layer]) overlay(settings, *setting);
  std::vector<const ReadSetting*> chosen;
  bool known = true;
  for (const Setting* setting : settings) {
    const ReadSetting& one = read_.at(setting);
    if (one.field >= 0) {
      chosen.push_back(&one);
    } else {
      known = false;
    }
  }
  return apply_settings(schema_, chosen, options, sources, owner_, place_, diagnostics, completeness) && known;
}

const Setting* Section::source(const std::vector<const Setting*>& sources, std::string_view field) const {
  const int index = schema_.find(field);
  return index < 0 ? nullptr : sources[static_cast<std::size_t>(index)];
}

Position Section::place_of(const std::vector<const Setting*>& sources, std::string_view field) const {
  const Setting* setting = source(sources, field);
  return setting != nullptr ? setting->value->where : place_;
}

bool Section::is_of_layer(const Setting* setting, std::size_t layer) const {
  return std::find(layers_[layer].begin(), layers_[layer].end(), setting) != layers_[layer].end();
}

}  // namespace mestre
