#include "core/spec/names.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/units.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

}  // namespace

std::string fault_of_name(std::string_view name, NameUse use) {
  constexpr std::size_t kLongest = 100;
  if (name.empty()) return "is empty";
  if (name.size() > kLongest) return fmt::format("is {} bytes long", name.size());
  if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
    return "contains a control character";
  if (name.front() == ' ' || name.back() == ' ') return "begins or ends with a space";
  if (use == NameUse::kLabel) return name.find_first_of(",=") != std::string_view::npos ? "contains ',' or '='" : "";
  if (name.find_first_of("/\\") != std::string_view::npos) return "contains a slash";
  return name.front() == '-' || name.front() == '.' ? fmt::format("begins with '{}'", name.front()) : "";
}

bool check_name(const std::string& what, const TomlValue& value, NameUse use, Diagnostics& diagnostics) {
  if (!value.is(Kind::kText)) {
    diagnostics.error(value.where, fmt::format("{} cannot be {}", what, shown(value)), {"expected text in quotes"});
    return false;
  }
  const std::string fault = fault_of_name(value.text, use);
  if (fault.empty()) return true;
  diagnostics.error(
      value.where, fmt::format("{} {}", what, fault),
      {use == NameUse::kFolder
           ? "expected a name that can be a folder's: at most 100 characters, no slash, no leading dash or dot"
           : "expected at most 100 characters on one line, without ',' and '=', which select cells"});
  return false;
}

std::optional<std::string> label_of(const TomlValue& value) {
  switch (value.kind) {
    case Kind::kBool:
      return value.boolean ? "true" : "false";
    case Kind::kInteger:
      return std::to_string(value.integer);
    case Kind::kFloat:
      return shortest(value.number);
    case Kind::kText:
      return value.text;
    case Kind::kDate:
    case Kind::kTable:
      return std::nullopt;
    case Kind::kList:
      break;
  }
  std::string text;
  for (const TomlValue& element : value.elements) {
    const std::optional<std::string> label = label_of(element);
    if (!label) return std::nullopt;
    text += (text.empty() ? "" : "+") + *label;
  }
  return text.empty() ? "none" : text;
}

}  // namespace mestre
