// A look over TOML text before it is parsed: the parser recurses, so what nests too deep is found without recursion
// first.
#pragma once

#include <optional>
#include <string_view>

#include "core/base/diagnostics.h"

namespace mestre {

inline constexpr int kMaxNesting = 32;  // brackets in brackets, and parts of a dotted key

/// Something wrong with the text as bytes, before it is anything else.
struct TextProblem {
  Position where;  // `file` is left to the caller
  std::string message;
  std::string expectation;
};

/// The first place where brackets nest or keys are dotted deeper than kMaxNesting, or where a byte is zero or not
/// UTF-8.
[[nodiscard]] std::optional<TextProblem> find_text_problem(std::string_view text);

}  // namespace mestre
