#include "analysis/footnotes.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

namespace mestre {
namespace {

std::string superscript(std::size_t number) {
  constexpr std::array<std::string_view, 10> kSuperscripts = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text;
  for (const char digit : std::to_string(number)) text += kSuperscripts.at(static_cast<std::size_t>(digit - '0'));
  return text;
}

}  // namespace

std::string Footnotes::mark(const std::string& text) {
  auto same = std::find(texts_.begin(), texts_.end(), text);
  if (same == texts_.end()) same = texts_.insert(same, text);
  return superscript(static_cast<std::size_t>(same - texts_.begin()) + 1);
}

void Footnotes::write(Table& table, std::size_t most, const std::string& where) const {
  for (std::size_t i = 0; i < std::min(texts_.size(), most); ++i)
    table.notes.push_back(fmt::format("{} {}", superscript(i + 1), texts_[i]));
  if (texts_.size() > most)
    table.notes.push_back(fmt::format("and {} more such notes; {}", texts_.size() - most, where));
}

}  // namespace mestre
