// The table of mixers' Torch modules, one line each; their options stand in core/mixers/registry.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "core/mixers/mixer.h"
#include "core/model/mixer_module.h"

namespace mestre {

struct ModuleType {
  std::string_view name;  // of the mixer type
  std::shared_ptr<MixerModule> (*make)(const MixerOptions& options, const ModelShape& shape);
};

[[nodiscard]] std::span<const ModuleType> module_types();
/// The module for resolved options, its weights uninitialised.
[[nodiscard]] std::shared_ptr<MixerModule> make_mixer(const MixerOptions& options, const ModelShape& shape);

}  // namespace mestre
