#include "core/model/modules.h"

#include <array>

#include "core/base/error.h"
#include "core/mixers/attention/module.h"
#include "core/mixers/attention/options.h"
#include "core/mixers/mamba/module.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mlp/module.h"
#include "core/mixers/mlp/options.h"

namespace mestre {
namespace {

template <class Module, class Options>
std::shared_ptr<MixerModule> make(const MixerOptions& options, const ModelShape& shape) {
  return std::make_shared<Module>(dynamic_cast<const Options&>(options), shape);
}

constexpr std::array<ModuleType, 3> kTypes = {{
    {"attention", make<AttentionModule, AttentionOptions>},
    {"mamba", make<MambaModule, MambaOptions>},
    {"mlp", make<MlpModule, MlpOptions>},
}};

}  // namespace

std::span<const ModuleType> module_types() {
  return kTypes;
}

std::shared_ptr<MixerModule> make_mixer(const MixerOptions& options, const ModelShape& shape) {
  for (const ModuleType& type : kTypes)
    if (type.name == options.type()) return type.make(options, shape);
  throw Error(ErrorCode::kBug, "mixer '" + std::string(options.type()) + "' has no module");
}

}  // namespace mestre
