// What this binary was built from; recorded beside every result.
#pragma once

#include <string_view>

namespace mestre {

struct BuildInfo {
  std::string_view version;  // "0.1.0"
  std::string_view commit;   // 40 hexadecimal digits, or "unknown" outside a checkout
  bool dirty;                // whether tracked files differed from the commit
  std::string_view compiler;
};

[[nodiscard]] const BuildInfo& build_info();

}  // namespace mestre
