// The table of mixer types. Adding one: its folder, its line here, and the line of its module in
// core/model/modules.cpp; without a module it can be planned and priced, and no worker's catalogue has it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/mixers/mixer.h"

namespace mestre {

struct MixerType {
  std::string_view name;
  std::string_view doc;  // one line, for the catalogue
  std::unique_ptr<MixerOptions> (*make)();
};

[[nodiscard]] std::span<const MixerType> mixer_types();
/// Nullptr where there is no such type.
[[nodiscard]] const MixerType* find_mixer_type(std::string_view name);
[[nodiscard]] std::vector<std::string> mixer_type_names();

}  // namespace mestre
