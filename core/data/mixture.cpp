#include "core/data/mixture.h"

#include <string>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/data/sampler.h"

namespace mestre {
namespace {

constexpr std::uint64_t kMultiplier = 46'073;
constexpr auto kPeriod = static_cast<std::uint64_t>(kMixtureSlots);
static_assert(kMultiplier % 2 == 1 && (kPeriod & (kPeriod - 1)) == 0, "each rank once a period");

}  // namespace

MixtureOrder::MixtureOrder(std::span<const MixtureComponent> components, std::int64_t seed) : period_(kPeriod) {
  std::vector<std::uint16_t> owners;  // of each rank
  for (const MixtureComponent& component : components) {
    owners.insert(owners.end(), static_cast<std::size_t>(component.slots), static_cast<std::uint16_t>(slots_.size()));
    slots_.push_back(component.slots);
  }
  if (owners.size() != kPeriod)
    throw Error(ErrorCode::kBug, fmt::format("a mixture has {} slots, not {}", owners.size(), kPeriod));
  const std::uint64_t offset = permuted(0, kPeriod, static_cast<std::uint64_t>(seed), 0);
  std::vector<std::uint16_t> given(slots_.size());
  for (std::uint64_t position = 0; position < kPeriod; ++position) {
    const std::uint16_t owner = owners[(kMultiplier * position + offset) % kPeriod];
    period_[position] = {.component = owner, .index = given[owner]++};
  }
}

MixtureOrder::Place MixtureOrder::place(std::int64_t sequence) const {
  if (sequence < 0) throw Error(ErrorCode::kBug, fmt::format("sequence {} was asked for", sequence));
  const Slot slot = period_[static_cast<std::size_t>(sequence % kMixtureSlots)];
  return {.component = slot.component, .index = sequence / kMixtureSlots * slots_[slot.component] + slot.index};
}

std::int64_t component_seed(std::int64_t seed, std::string_view digest) {
  const std::string hash = xxh3_128(fmt::format("{} {}", seed, digest));
  return static_cast<std::int64_t>(std::stoull(hash.substr(0, 16), nullptr, 16));
}

void require_component(const Manifest& found, const MixtureComponent& component, const fs::path& mixture) {
  if (found.identity.digest == component.digest) return;
  throw Error(ErrorCode::kDataCorrupt,
              fmt::format("'{}' was mixed of other data: '{}' has the digest {} and had {}", mixture.native(),
                          component.path, found.identity.digest, component.digest))
      .hint("prepare that corpus again as it was, or mix anew with 'mestre data mix --force'");
}

}  // namespace mestre
