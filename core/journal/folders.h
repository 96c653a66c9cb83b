// Where everything of a workspace stands (design, section 4). Pure functions of paths; nothing is created here.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace mestre {

namespace fs = std::filesystem;

struct Workspace {
  fs::path root;

  [[nodiscard]] fs::path database() const { return root / "mestre.db"; }
  [[nodiscard]] fs::path coordinator_lock() const { return root / "coordinator.lock"; }
  [[nodiscard]] fs::path sweep(std::string_view name) const { return root / "sweeps" / name; }
  [[nodiscard]] fs::path reports() const { return root / "reports"; }
  [[nodiscard]] fs::path submissions() const { return root / "submissions"; }
  [[nodiscard]] fs::path submission(std::string_view token) const { return submissions() / token; }
  [[nodiscard]] fs::path jobs() const { return root / "jobs"; }
  [[nodiscard]] fs::path job(std::string_view id) const { return jobs() / id.substr(0, 2) / id; }
};

/// The folder of another job, seen from a job's folder: <jobs>/<id[0:2]>/<id>.
[[nodiscard]] inline fs::path sibling_job(const fs::path& job_folder, std::string_view id) {
  return job_folder.parent_path().parent_path() / id.substr(0, 2) / id;
}

[[nodiscard]] inline fs::path attempt_folder(const fs::path& job_folder, int number) {
  return job_folder / ("attempt-" + std::to_string(number));
}

/// "step-00002000".
[[nodiscard]] std::string checkpoint_name(std::int64_t step);

}  // namespace mestre
