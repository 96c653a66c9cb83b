#include "core/data/training_text.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace mestre {
namespace {

BlockSampler sampler_of(const PackedCorpus& corpus, const MixtureComponent& component, std::int64_t length,
                        std::int64_t seed) {
  try {
    return {corpus.tokens(), length, component_seed(seed, component.digest)};
  } catch (Error& error) {
    throw error.hint(fmt::format("or leave '{}' out of the mixture", component.path));
  }
}

}  // namespace

TrainingText::TrainingText(const fs::path& manifest, const fs::path& root) : manifest_(read_manifest(manifest)) {
  if (!manifest_.is_mixture()) corpora_.emplace_back(manifest);
  for (const MixtureComponent& component : manifest_.components) {
    corpora_.emplace_back(root / component.path);
    require_component(corpora_.back().manifest(), component, manifest);
  }
}

TextOrder::TextOrder(const TrainingText& text, std::int64_t length, std::int64_t seed) {
  if (!text.manifest().is_mixture()) {
    samplers_.emplace_back(text.manifest().tokens, length, seed);
    return;
  }
  const std::vector<MixtureComponent>& components = text.manifest().components;
  mixture_.emplace(components, seed);
  for (std::size_t i = 0; i < components.size(); ++i)
    samplers_.push_back(sampler_of(text.corpora()[i], components[i], length, seed));
}

TextOrder::Block TextOrder::block(std::int64_t sequence) const {
  if (!mixture_) return {.corpus = 0, .begin = samplers_.front().begin(sequence)};
  const MixtureOrder::Place place = mixture_->place(sequence);
  return {.corpus = place.component, .begin = samplers_[place.component].begin(place.index)};
}

}  // namespace mestre
