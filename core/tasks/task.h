// What every evaluation and every measurement says of itself without Torch: its options and its version. What runs the
// model stands beside them in run.{h,cpp}.
//
// An evaluation scores a trained model ([[evaluate]], `task`); a measurement observes one ([[measure]], `quantity`).
// Both are called tasks here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/options.h"
#include "core/spec/train.h"

namespace mestre {

struct ModelSpec;

class TaskOptions : public Options {
 public:
  [[nodiscard]] virtual std::string_view type() const = 0;
  /// Raised whenever the task scores something else for the same options; part of the job's identity.
  [[nodiscard]] virtual int version() const = 0;
  [[nodiscard]] virtual std::unique_ptr<TaskOptions> clone() const = 0;
  /// Replaces "as the cell is trained" by its value, so that a spec holds every option at its value. Called once, on
  /// the cell's own copy.
  virtual void resolve(const TrainOptions&) {}
  virtual void check(const Problem& problem) const = 0;
  /// Why nothing can be found out about such a model; empty where something can.
  [[nodiscard]] virtual std::string misfit(const ModelSpec&) const { return {}; }
  /// Tokens that packed text must have.
  [[nodiscard]] virtual std::int64_t least_text() const { return longest() + 1; }
  /// Tokens that the model reads in all, those that it generates counted once, where the text has `corpus` of them (0
  /// where there is no text or it is not known); for the estimate of time.
  [[nodiscard]] virtual double tokens(std::int64_t corpus) const = 0;
  /// The longest sequence that the model reads.
  [[nodiscard]] virtual std::int64_t longest() const = 0;
  /// Manifest of the items that it scores where the sweep names none, relative to the data root; empty where the task
  /// reads no items.
  [[nodiscard]] virtual std::string items() const { return {}; }
};

enum class TaskKind { kEvaluation, kMeasurement };

/// What a task reads.
enum class TaskText {
  kNone,    // nothing, or what it makes up itself
  kCorpus,  // packed tokens: data.validation, or what data.task gives
  kItems,   // questions with their answers: data.validation of the request itself, else TaskOptions::items()
};

struct TaskType {
  std::string_view name;
  std::string_view doc;
  TaskKind kind = TaskKind::kEvaluation;
  bool needs_checkpoint = true;  // else any weights do: speed does not depend on them
  TaskText text = TaskText::kCorpus;
  bool gives_text = false;  // may stand in data.task: its documents are what another job trains on or reads
  std::unique_ptr<TaskOptions> (*make)();

  [[nodiscard]] bool needs_text() const { return text != TaskText::kNone; }
};

[[nodiscard]] std::span<const TaskType> task_types();
[[nodiscard]] const TaskType* find_task_type(std::string_view name);
/// Names of one kind, in the order of the table: what an unknown one is compared with.
[[nodiscard]] std::vector<std::string> task_type_names(TaskKind kind = TaskKind::kEvaluation);

}  // namespace mestre
