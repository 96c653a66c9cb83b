// What is wrong with a command line, said as any other mistake: what and where, what was expected, what to do.
#pragma once

#include "core/base/error.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's
class App;
class ParseError;
}  // namespace CLI

namespace mestre {

/// The Error (bad_input) for a parse of `app` that ended in `mistake`; `app` as the parse left it.
[[nodiscard]] Error usage_error(const CLI::ParseError& mistake, const CLI::App& app);

}  // namespace mestre
