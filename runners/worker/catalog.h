// What this build can do, for the planner to compare with its own.
#pragma once

#include <string>

namespace mestre {

/// One line of JSON:
/// {"build":{"commit":…,"compiler":…,"dirty":…,"torch":…,"version":…},"devices":["cpu"],"job_format":1,
/// "versions":{"initialization":1,"mixers":{"attention":1,…},"optimizer":1,"sampler":1,"tasks":{"perplexity":1}}}
[[nodiscard]] std::string catalog_json();

}  // namespace mestre
