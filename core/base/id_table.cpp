#include "core/base/id_table.h"

#include <bit>
#include <charconv>
#include <optional>

#include "core/base/error.h"

namespace mestre {
namespace {

constexpr std::size_t kDigits = 16;  // of one of the two halves

std::optional<std::uint64_t> half_of(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> digest_of(std::string_view id) {
  if (id.size() != 2 * kDigits) return std::nullopt;
  const auto high = half_of(id.substr(0, kDigits)), low = half_of(id.substr(kDigits));
  if (!high || !low) return std::nullopt;
  return std::pair(*high, *low);
}

}  // namespace

IdTable::IdTable(std::initializer_list<std::string> ids) {
  for (const std::string& id : ids) insert(id);
}

void IdTable::reserve(std::size_t ids) {
  if (2 * ids <= slots_.size()) return;
  std::vector<Slot> before(std::bit_ceil(2 * ids));
  before.swap(slots_);
  for (const Slot& slot : before)
    if (slot.number_plus_one > 0) slots_[slot_of(slot.high, slot.low)] = slot;
}

std::pair<std::size_t, bool> IdTable::try_emplace(std::string_view id, std::size_t number) {
  const auto digest = digest_of(id);
  if (!digest) throw Error(ErrorCode::kBug, "'" + std::string(id) + "' is no digest");
  reserve(size_ + 1);
  Slot& slot = slots_[slot_of(digest->first, digest->second)];
  const bool is_new = slot.number_plus_one == 0;
  if (is_new) {
    slot = {.high = digest->first, .low = digest->second, .number_plus_one = number + 1};
    ++size_;
  }
  return {slot.number_plus_one - 1, is_new};
}

bool IdTable::contains(std::string_view id) const {
  const auto digest = digest_of(id);
  return digest && size_ > 0 && slots_[slot_of(digest->first, digest->second)].number_plus_one > 0;
}

std::size_t IdTable::slot_of(std::uint64_t high, std::uint64_t low) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = low & mask;
  while (slots_[i].number_plus_one > 0 && (slots_[i].low != low || slots_[i].high != high)) i = (i + 1) & mask;
  return i;
}

}  // namespace mestre
