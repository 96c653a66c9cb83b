// One attempt of one job, from the claim to the journal's last line.
#pragma once

#include <string>

#include "core/base/files.h"

namespace mestre {

/// Claims the next attempt of the job in `job_folder` for `token` and carries it out. Returns the exit status: kExitOk
/// where the job is finished or is not ours to run, kExitJobFailed where the journal says why it failed,
/// kExitNoSpace or kExitEnvironment where not even that could be written. From the claim on, stdout and stderr of the
/// whole process go to the attempt's log.txt. Called once.
[[nodiscard]] int run_attempt(const fs::path& job_folder, const std::string& token);

}  // namespace mestre
