#include "core/data/joined_pairs.h"

#include <utility>

#include "core/base/utf8.h"

namespace mestre {
namespace {

constexpr char32_t kBlank = 0x2581;

char32_t unescaped(char32_t character) {
  return character == kBlank ? U' ' : character;
}

}  // namespace

// Never 0, which would be two NULs: the key of those has its top bit set like any other.
std::uint64_t JoinedPairs::key_of(char32_t left, char32_t right) {
  return std::uint64_t{1} << 63 | std::uint64_t{left} << 32 | right;
}

std::size_t JoinedPairs::slot_of(std::uint64_t key) const {
  std::size_t slot = key * 0x9E3779B97F4A7C15U >> 20 & (table_.size() - 1);
  while (table_[slot] != 0 && table_[slot] != key) slot = (slot + 1) & (table_.size() - 1);
  return slot;
}

void JoinedPairs::insert(std::uint64_t key) {
  std::uint64_t& slot = table_[slot_of(key)];
  if (slot == key) return;
  slot = key;
  if (++count_ * 3 < table_.size()) return;
  const std::vector<std::uint64_t> old = std::exchange(table_, std::vector<std::uint64_t>(2 * table_.size()));
  for (const std::uint64_t moved : old)
    if (moved != 0) table_[slot_of(moved)] = moved;
}

bool JoinedPairs::contains_wide(char32_t left, char32_t right) const {
  left = unescaped(left);
  right = unescaped(right);
  return table_[slot_of(key_of(left, right))] != 0;
}

void JoinedPairs::add(std::string_view piece) {
  for (char32_t left = kInvalidUtf8; !piece.empty();) {
    const CodePoint next = first_code_point(piece);
    const char32_t right = unescaped(next.value);
    if (left < kAscii && right < kAscii) ascii_.set(left * kAscii + right);
    if (left != kInvalidUtf8) insert(key_of(left, right));
    left = right;
    piece.remove_prefix(next.length);
  }
}

}  // namespace mestre
