// Which two characters a vocabulary ever joins: those that stand side by side in one of its pieces.
//
// Blanks count as U+2581, as SentencePiece writes them. Immutable once filled, and then any thread may ask.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

namespace mestre {

class JoinedPairs {
 public:
  void add(std::string_view piece);

  [[nodiscard]] bool contains(char32_t left, char32_t right) const {
    if (left < kAscii && right < kAscii) return ascii_[left * kAscii + right];
    return contains_wide(left, right);
  }

 private:
  static constexpr std::size_t kAscii = 128;
  static std::uint64_t key_of(char32_t left, char32_t right);
  [[nodiscard]] bool contains_wide(char32_t left, char32_t right) const;
  [[nodiscard]] std::size_t slot_of(std::uint64_t key) const;
  void insert(std::uint64_t key);

  std::bitset<kAscii * kAscii> ascii_;
  std::vector<std::uint64_t> table_ = std::vector<std::uint64_t>(64);  // open addressing; 0: free
  std::size_t count_ = 0;
};

}  // namespace mestre
