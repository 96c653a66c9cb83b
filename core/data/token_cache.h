// What a tokenizer made of the words it met last: a table of fixed size in which each word has one place, and a
// newcomer takes it over. Not thread-safe; one per thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/data/tokenizer.h"

namespace mestre {

class TokenCache {
 public:
  /// The tokens of `word`, or nothing; valid until the next remember().
  [[nodiscard]] std::span<const Token> find(std::string_view word) const {
    const Slot& slot = slots_[place_of(word)];
    if (std::string_view(slot.word.data(), slot.word_size) != word) return {};
    return {slot.tokens.data(), slot.tokens_size};
  }

  /// Words that are long, or have many tokens or none, are not kept.
  void remember(std::string_view word, std::span<const Token> tokens) {
    Slot& slot = slots_[place_of(word)];
    if (word.size() > slot.word.size() || tokens.size() > slot.tokens.size()) return;
    std::copy(word.begin(), word.end(), slot.word.begin());
    std::copy(tokens.begin(), tokens.end(), slot.tokens.begin());
    slot.word_size = static_cast<std::uint8_t>(word.size());
    slot.tokens_size = static_cast<std::uint8_t>(tokens.size());
  }

 private:
  static constexpr std::size_t kSlots = std::size_t{1} << 16;
  struct alignas(64) Slot {
    std::array<char, 38> word{};
    std::array<Token, 12> tokens{};
    std::uint8_t word_size = 0, tokens_size = 0;
  };
  static_assert(sizeof(Slot) == 64);

  static std::size_t place_of(std::string_view word) { return std::hash<std::string_view>{}(word) & (kSlots - 1); }

  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);
};

}  // namespace mestre
