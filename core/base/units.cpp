#include "core/base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <span>

#include <fmt/format.h>

namespace mestre {
namespace {

struct Suffix {
  std::string_view text;
  double factor;
};

constexpr double kKi = 1024.0;
constexpr std::array<Suffix, 8> kCountSuffixes = {
    {{"", 1}, {"K", 1e3}, {"M", 1e6}, {"B", 1e9}, {"T", 1e12}, {"Ki", kKi}, {"Mi", kKi* kKi}, {"Gi", kKi* kKi* kKi}}};
constexpr std::array<Suffix, 4> kTimeSuffixes = {{{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}}};
constexpr std::array<Suffix, 9> kByteSuffixes = {{{"B", 1},
                                                  {"KB", 1e3},
                                                  {"MB", 1e6},
                                                  {"GB", 1e9},
                                                  {"TB", 1e12},
                                                  {"KiB", kKi},
                                                  {"MiB", kKi* kKi},
                                                  {"GiB", kKi* kKi* kKi},
                                                  {"TiB", kKi* kKi* kKi* kKi}}};
constexpr std::array<Suffix, 1> kGpuHourSuffixes = {{{"GPUh", 1}}};
constexpr std::array<Suffix, 1> kNoSuffix = {{{"", 1}}};

std::span<const Suffix> suffixes_of(Unit unit) {
  switch (unit) {
    case Unit::kCount:
    case Unit::kTokens:
      return kCountSuffixes;
    case Unit::kSeconds:
      return kTimeSuffixes;
    case Unit::kBytes:
      return kByteSuffixes;
    case Unit::kGpuHours:
      return kGpuHourSuffixes;
    case Unit::kNone:
      break;
  }
  return kNoSuffix;
}

}  // namespace

std::string_view symbol_of(Unit unit) {
  switch (unit) {
    case Unit::kTokens:
      return "tokens";
    case Unit::kSeconds:
      return "s";
    case Unit::kBytes:
      return "bytes";
    case Unit::kGpuHours:
      return "GPUh";
    case Unit::kNone:
    case Unit::kCount:
      break;
  }
  return "";
}

std::string_view expectation_of(Unit unit) {
  switch (unit) {
    case Unit::kNone:
      return "a number";
    case Unit::kCount:
      return "a whole number such as 500, \"20K\" or \"4Ki\"";
    case Unit::kTokens:
      return "a number of tokens such as 500, \"20B\" or \"4Ki\" (K M B decimal, Ki Mi Gi binary)";
    case Unit::kSeconds:
      return "a time with its unit, such as \"90s\", \"30min\", \"36h\" or \"2d\"";
    case Unit::kBytes:
      return "a size with its unit, such as \"500MB\", \"40GB\" or \"8GiB\"";
    case Unit::kGpuHours:
      return "GPU-hours, such as \"2000 GPUh\"";
  }
  return "a number";
}

std::optional<double> parse_quantity(std::string_view text, Unit unit) {
  double value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || !std::isfinite(value)) return std::nullopt;
  std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  if (!suffix.empty() && suffix.front() == ' ') suffix.remove_prefix(1);
  for (const Suffix& known : suffixes_of(unit))
    if (suffix == known.text) return value * known.factor;
  return std::nullopt;
}

std::optional<std::int64_t> parse_integer_quantity(std::string_view text, Unit unit) {
  constexpr double kLargestExact = 9007199254740992.0;  // 2^53: from there a double no longer counts
  const std::optional<double> value = parse_quantity(text, unit);
  if (!value || std::abs(*value) >= kLargestExact || *value != std::floor(*value)) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

std::string shortest(double value) {
  // Both forms read back exactly; the fixed one is for people, as far as it stays short.
  const double magnitude = std::abs(value);
  const bool fixed = value == 0 || (magnitude >= 1e-6 && magnitude < 1e15);
  char buffer[64];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value,
                                    fixed ? std::chars_format::fixed : std::chars_format::scientific);
  return std::string(buffer, result.ptr);
}

std::string rounded(double value, int digits) {
  if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (value == 0) return "0";
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value))));
  if (magnitude < -4 || magnitude > 15) return fmt::format("{:.{}e}", value, digits - 1);
  return fmt::format("{:.{}f}", value, std::max(0, digits - 1 - magnitude));
}

std::string with_thousands(std::int64_t value) {
  std::string digits = std::to_string(value);
  const std::ptrdiff_t first = value < 0 ? 1 : 0;
  for (std::ptrdiff_t i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > first; i -= 3)
    digits.insert(static_cast<std::size_t>(i), 1, ',');
  return digits;
}

std::string short_count(double value) {
  if (value < 1e3) return fmt::format("{:.0f}", value);
  for (const auto& [letter, factor] : {std::pair{'K', 1e3}, {'M', 1e6}, {'B', 1e9}, {'T', 1e12}}) {
    const double scaled = value / factor;
    if (scaled < 999.5 || letter == 'T')
      return fmt::format("{:.{}f}{}", scaled, scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0, letter);
  }
  return {};
}

std::string short_bytes(double bytes) {
  if (bytes < 1e3) return fmt::format("{:.0f} B", bytes);
  for (const auto& [name, factor] : {std::pair{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}}) {
    const double scaled = bytes / factor;
    if (scaled < 999.5 || factor == 1e12) return fmt::format("{:.{}f} {}", scaled, scaled < 9.95 ? 1 : 0, name);
  }
  return {};
}

std::string short_duration(double seconds) {
  const auto total = static_cast<std::int64_t>(std::llround(seconds));
  if (total >= 48 * 3600) return fmt::format("{} d {} h", total / 86400, total % 86400 / 3600);
  if (total >= 3600) return fmt::format("{}:{:02}:{:02}", total / 3600, total % 3600 / 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

}  // namespace mestre
