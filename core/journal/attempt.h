// Claiming an attempt of a job: who may run it, under which number (design, section 4, "Attempts").
//
// Workers number attempts themselves, because Slurm may start one again while no coordinator lives. The steps: the
// token on the command line must be the one in launch.json; no attempt's journal may end in `finished`; mkdir
// attempt-N, lock it, and look again for both.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/files.h"
#include "core/spec/train.h"

namespace mestre {

/// An attempt that is ours while this object lives: attempt-N/lock is held.
struct Attempt {
  int number = 0;
  fs::path folder;
  FileLock lock;
};

/// launch.json: what may run now, and how.
struct Launch {
  std::string token;
  std::string data_root;
  std::string data;               // manifest, relative to data_root
  std::string validation;         // manifest of the text that a training is validated on; empty: none
  std::string validation_digest;  // that it must have
  LaunchOptions options;
  double deadline = 0;  // seconds since the epoch at which to stop; 0: none
};

/// Exit status of a worker that found no space on the disk, not even for its journal's last line.
inline constexpr int kExitNoSpace = 5;

/// Why there is nothing to run.
enum class Refusal { kForeignToken, kFinished };

struct Claim {
  std::optional<Attempt> attempt = {};
  std::optional<Refusal> refusal = {};  // set exactly where there is no attempt
  Launch launch = {};                   // as it was when the attempt was claimed; it may be rewritten since
};

/// Claims the next attempt of the job in `job_folder` for `token`. Throws Error where the folder or launch.json cannot
/// be read.
[[nodiscard]] Claim claim_attempt(const fs::path& job_folder, const std::string& token);

/// Numbers of the attempts that exist, ascending; none where there is no such folder. Throws Error where it cannot be
/// read.
[[nodiscard]] std::vector<int> attempts_of(const fs::path& job_folder);
/// True where a higher attempt exists: this one must stop and publish nothing more.
[[nodiscard]] bool is_superseded(const fs::path& job_folder, int number);
/// True where some attempt's journal ends in `finished`.
[[nodiscard]] bool is_finished(const fs::path& job_folder);

[[nodiscard]] std::string to_json(const Launch& launch);
/// Throws Error (bad_input) that names the member.
[[nodiscard]] Launch read_launch(const fs::path& job_folder);

/// How a process can be told from a later one with the same number.
struct ProcessIdentity {
  std::string host;
  std::int64_t pid = 0;
  std::int64_t start_time = 0;  // clock ticks after boot, field 22 of /proc/<pid>/stat
  std::string boot_id;
};

[[nodiscard]] ProcessIdentity this_process();
/// Nothing where no such process exists.
[[nodiscard]] std::optional<std::int64_t> start_time_of(std::int64_t pid);

/// attempt.json: how the attempt was carried out.
struct AttemptRecord {
  int number = 0;
  std::string token;
  ProcessIdentity process;
  double started_at = 0;  // seconds since the epoch
  std::vector<std::string> devices;
  std::int64_t threads = 1;
  std::int64_t micro_batch = 0;
  std::vector<std::pair<std::string, std::string>> versions;  // "mestre", "torch", …
  std::string commit;
  bool dirty = false;
};

[[nodiscard]] std::string to_json(const AttemptRecord& record);
/// Nothing where attempt.json is not there (yet); throws Error (bad_input) where it is not what to_json wrote.
[[nodiscard]] std::optional<AttemptRecord> read_attempt_record(const fs::path& attempt_folder);

}  // namespace mestre
