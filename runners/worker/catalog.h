// What this build can do, for the planner to compare with its own.
#pragma once

#include <string>
#include <vector>

#include "core/spec/job.h"

namespace mestre {

/// What this build can do, in the words of features_of(job), sorted.
[[nodiscard]] std::vector<std::string> worker_features();

/// Throws Error (bad_input) that names what the job needs and this build lacks.
void require_features(const Job& job);

/// One line of JSON:
/// {"build":{"commit":…,"compiler":…,"dirty":…,"torch":…,"version":…},"devices":["cpu"],
/// "features":["mixer attention",…,"precision float32",…],"job_format":1,"versions":{"initialization":1,
/// "mixers":{"attention":1,…},"optimizer":1,"sampler":1,"tasks":{"entropy":1,"perplexity":1}}}
[[nodiscard]] std::string catalog_json();

}  // namespace mestre
