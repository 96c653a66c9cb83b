// Quantities as people write them: "20B" tokens, "4Ki" tokens, "36h", "40GB", "2000 GPUh"; and as tables print them.
//
// K M B are decimal thousands, millions, billions; Ki Mi Gi are powers of 1024; s min h d are times; B KB MB GB TB and
// KiB MiB GiB TiB are bytes. Internally: counts as integers, seconds and GPU-hours as doubles, bytes as integers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mestre {

/// What a number counts. It decides which suffixes are allowed and whether a bare number is.
enum class Unit {
  kNone,      // a pure number; no suffix
  kCount,     // heads, layers, blocks, steps: a bare integer, or K M B Ki Mi Gi
  kTokens,    // as kCount
  kSeconds,   // a suffix is needed
  kBytes,     // a suffix is needed
  kGpuHours,  // "2000 GPUh"
};

/// "tokens", "s", "bytes", "GPUh"; empty for kNone and kCount.
[[nodiscard]] std::string_view symbol_of(Unit unit);
/// What a reader may write for this unit, for diagnostics: "a count such as 500, \"20B\" or \"4Ki\"".
[[nodiscard]] std::string_view expectation_of(Unit unit);

/// Parses text with a suffix ("20B", "1.5Ki", "90 min"). Nothing where the text is not a quantity of this unit,
/// overflows, or is not a whole number where one is needed (kCount, kTokens, kBytes).
[[nodiscard]] std::optional<double> parse_quantity(std::string_view text, Unit unit);
[[nodiscard]] std::optional<std::int64_t> parse_integer_quantity(std::string_view text, Unit unit);

/// Shortest decimal text that reads back as the same double ("0.0004", "1", "1e-08"): fixed from 1e-6 to 1e15, else
/// with an exponent. What canonical JSON holds, so it is frozen.
[[nodiscard]] std::string shortest(double value);
/// At most `digits` significant digits, without an exponent between 1e-4 and 1e15: for tables.
[[nodiscard]] std::string rounded(double value, int digits = 4);
/// "12,960".
[[nodiscard]] std::string with_thousands(std::int64_t value);
/// "800K", "438M", "1.30B": parameters and tokens in tables, three significant digits.
[[nodiscard]] std::string short_count(double value);
/// "41 MB", "1.2 GB".
[[nodiscard]] std::string short_bytes(double bytes);
/// "0:40", "5:12", "3:05:12", "2 d 3 h".
[[nodiscard]] std::string short_duration(double seconds);

}  // namespace mestre
