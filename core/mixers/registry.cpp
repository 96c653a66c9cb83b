#include "core/mixers/registry.h"

#include <array>

#include "core/mixers/attention/options.h"
#include "core/mixers/gla/options.h"
#include "core/mixers/mamba/options.h"
#include "core/mixers/mega_s6/options.h"
#include "core/mixers/mlp/options.h"
#include "core/mixers/retention/options.h"

namespace mestre {
namespace {

template <class T>
std::unique_ptr<MixerOptions> make() {
  return std::make_unique<T>();
}

constexpr std::array<MixerType, 6> kTypes = {{
    {"attention", "causal softmax attention, full or over a sliding window, with or without RoPE",
     make<AttentionOptions>},
    {"gla", "gated linear attention: a decay for each key channel", make<GlaOptions>},
    {"mamba", "selective state space layer (S6) with its short convolution and gate", make<MambaOptions>},
    {"mega_s6", "gated attention inside chunks, its queries and keys from S6", make<MegaS6Options>},
    {"mlp", "SwiGLU feed-forward layer", make<MlpOptions>},
    {"retention", "linear attention with a fixed decay for each head, as in RetNet", make<RetentionOptions>},
}};

}  // namespace

std::span<const MixerType> mixer_types() {
  return kTypes;
}

const MixerType* find_mixer_type(std::string_view name) {
  for (const MixerType& type : kTypes)
    if (type.name == name) return &type;
  return nullptr;
}

std::vector<std::string> mixer_type_names() {
  std::vector<std::string> names;
  for (const MixerType& type : kTypes) names.emplace_back(type.name);
  return names;
}

}  // namespace mestre
