#include "core/model/modules.h"

#include <array>

#include "core/base/error.h"
#include "core/mixers/attention/module.h"
#include "core/mixers/attention/options.h"
#include "core/mixers/gla/module.h"
#include "core/mixers/gla/options.h"
#include "core/mixers/mamba/module.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mega_s6/module.h"
#include "core/mixers/mega_s6/options.h"
#include "core/mixers/mlp/module.h"
#include "core/mixers/mlp/options.h"
#include "core/mixers/retention/module.h"
#include "core/mixers/retention/options.h"

namespace mestre {
namespace {

template <class Module, class Options>
std::shared_ptr<MixerModule> make(const MixerOptions& options, const ModelShape& shape) {
  return std::make_shared<Module>(dynamic_cast<const Options&>(options), shape);
}

constexpr std::array<ModuleType, 6> kTypes = {{
    {"attention", make<AttentionModule, AttentionOptions>},
    {"gla", make<GlaModule, GlaOptions>},
    {"mamba", make<MambaModule, MambaOptions>},
    {"mega_s6", make<MegaS6Module, MegaS6Options>},
    {"mlp", make<MlpModule, MlpOptions>},
    {"retention", make<RetentionModule, RetentionOptions>},
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
