// Digests: XXH3-128 for the identity of jobs and data, zlib's CRC-32 for the lines of a journal.
//
// Both are frozen: ids and digests stand in folder names and stores of users.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace mestre {

/// XXH3-128 of `bytes`, seed 0, canonical (big-endian) form: 32 lower-case hexadecimal digits.
[[nodiscard]] std::string xxh3_128(std::string_view bytes);

/// XXH3-128 of a stream, fed in pieces. Not thread-safe.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(Digester&&) noexcept;
  Digester& operator=(Digester&&) noexcept;
  void update(std::string_view bytes);
  /// The digest of all that was fed so far; more may follow.
  [[nodiscard]] std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// zlib's CRC-32 of `bytes`, started from `start` (0 for the first piece).
[[nodiscard]] std::uint32_t crc32(std::string_view bytes, std::uint32_t start = 0);

/// 128 random bits from the system as 32 hexadecimal digits: tokens of submissions.
[[nodiscard]] std::string random_token();

}  // namespace mestre
