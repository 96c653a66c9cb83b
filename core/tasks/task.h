// What every evaluation says of itself without Torch: its options and its version. What runs the model stands beside
// them in run.{h,cpp}.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/options.h"

namespace mestre {

class TaskOptions : public Options {
 public:
  [[nodiscard]] virtual std::string_view type() const = 0;
  /// Raised whenever the task scores something else for the same options; part of the job's identity.
  [[nodiscard]] virtual int version() const = 0;
  [[nodiscard]] virtual std::unique_ptr<TaskOptions> clone() const = 0;
  virtual void check(const Problem& problem) const = 0;
  /// Tokens that the model reads in all, where the text has `corpus` of them; for the estimate of time.
  [[nodiscard]] virtual double tokens(std::int64_t corpus) const = 0;
  /// The longest sequence that the model reads.
  [[nodiscard]] virtual std::int64_t longest() const = 0;
};

struct TaskType {
  std::string_view name;
  std::string_view doc;
  std::unique_ptr<TaskOptions> (*make)();
};

[[nodiscard]] std::span<const TaskType> task_types();
[[nodiscard]] const TaskType* find_task_type(std::string_view name);
[[nodiscard]] std::vector<std::string> task_type_names();

}  // namespace mestre
