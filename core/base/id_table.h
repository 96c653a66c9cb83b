// Numbers by id, in one flat table: a look-up among millions costs one cache miss, where a node-based map costs one for
// the bucket, the node and the text each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mestre {

/// Ids are digests as xxh3_128 writes them, 32 lower-case hexadecimal digits; anything else that is to be added is a
/// bug and throws Error. Open addressing over the digest's own bits, which are as good as any hash of them.
class IdTable {
 public:
  IdTable() = default;
  /// Each with the number 0: a set.
  IdTable(std::initializer_list<std::string> ids);

  void reserve(std::size_t ids);
  /// The number that the id has, and whether it is new: then it is `number`.
  std::pair<std::size_t, bool> try_emplace(std::string_view id, std::size_t number);
  void insert(std::string_view id) { try_emplace(id, 0); }
  [[nodiscard]] bool contains(std::string_view id) const;
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Slot {
    std::uint64_t high = 0, low = 0;  // the digest's 16 bytes
    std::size_t number_plus_one = 0;  // 0: free
  };

  /// Where the digest stands, or the free slot where it would.
  [[nodiscard]] std::size_t slot_of(std::uint64_t high, std::uint64_t low) const;

  std::vector<Slot> slots_;  // a power of two of them, at most half of them taken
  std::size_t size_ = 0;
};

}  // namespace mestre
