// A sweep file as it stands, typed but not yet expanded: axes, conditions, stages, evaluations, and the settings of
// each section.
//
// Settings refer to values in the tree that the Sweep owns, which its own file and those that it extends were merged
// into; it can be moved, not copied. Immutable once read.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/spec/runner_options.h"
#include "core/spec/settings.h"
#include "core/tasks/task.h"

namespace mestre {

/// [sweep], but for its baseline.
struct SweepOptions final : Options {
  std::string name;      // of folders and tables
  std::string question;  // what the sweep is to answer
  std::int64_t max_jobs = 100000;
  double budget = 0;                  // GPU-hours; 0: none
  double parameter_tolerance = 0.02;  // beyond this difference from its baseline a cell is marked
  void describe(OptionVisitor& visitor) override;
};

/// The labels of one axis that a condition allows.
struct Condition {
  std::size_t axis = 0;
  std::vector<bool> allowed;  // per label
};

/// Which cells: those that have an allowed label on each of the axes named. Without conditions, every cell.
struct Where {
  std::vector<Condition> conditions;
  Position place;
  bool is_sound = true;  // false where it had a mistake: what it matches means nothing
};

/// One value of an axis: its label, and what it sets.
struct AxisPoint {
  std::string label;
  Position place;
  std::vector<Setting> settings;
};

struct Axis {
  std::string name;
  Position place;
  std::vector<AxisPoint> points;
  Where where;  // the cells for which the axis exists, by axes that stand before it
};

/// [[exclude]]
struct Exclusion {
  Where where;
};

/// [[when]]: settings for some cells, above those of the axes.
struct Override {
  Where where;
  std::vector<Setting> settings;
};

/// What the training itself is called where stages are named.
inline constexpr const char* kTrainName = "train";

/// [[stage]]: one more training, which goes on from a checkpoint of an earlier one.
struct Stage {
  std::string name;
  Position place;
  std::string from;               // a stage before it, or "train"
  bool continues = false;         // with its optimizer and its place in the data, too
  std::vector<Setting> settings;  // of data, resources and train, above the cell's own
  Where where;
};

/// [[evaluate]] or [[measure]]: type->kind says which.
struct Request {
  std::string name;
  Position place;
  const TaskType* type = nullptr;                       // nullptr where it had a mistake
  std::shared_ptr<const TaskOptions> options;           // the same
  std::map<std::string, Position, std::less<>> places;  // of the options that the file sets
  std::string checkpoint = kTrainName;                  // of which stage
  Position checkpoint_place;
  std::vector<Setting> settings;  // of data and resources, above the cell's own
  Where where;
};

/// For TaskOptions::check: complaints at the options of a request. Refers to both.
[[nodiscard]] Problem problem_reporter(const Request& request, Diagnostics& diagnostics);

/// What a [[solve]] matches. The order is that of their names.
enum class SolveQuantity { kParameters, kParametersWithoutEmbeddings, kTrainingFlops, kMemory };

/// [[solve]]: one option chosen so that the cells come to a target.
struct SolveRequest {
  Where where;
  Position place;
  Setting vary;  // the option, without a value; its place is that of the text that names it
  std::int64_t step = 1;
  SolveQuantity quantity = SolveQuantity::kParameters;
  std::optional<double> target;  // nothing: what the baseline cell has
  double tolerance = 0;          // largest residual, as a share of the target
  Position target_place;
};

struct Sweep {
  SweepOptions options;
  std::vector<std::pair<std::string, std::string>> baseline;  // axis, label
  std::vector<Setting> settings;                              // of the sweep's own tables, spellings settled
  std::map<std::string, Position> sections;                   // header of each of those tables
  std::vector<Axis> axes;
  std::vector<Exclusion> exclusions;
  std::vector<Override> overrides;
  std::vector<SolveRequest> solves;
  std::vector<Stage> stages;
  std::vector<Request> requests;
  SlurmOptions slurm;
  std::optional<WorkerOptions> worker;
  bool axes_are_sound = true;  // false where an axis had an error: expanding would only mislead
  std::vector<int> files;      // its own and those that it extends, nearest first
  std::unique_ptr<const TomlValue> root;
};

/// The sections that hold settings of cells: data, model, resources, train.
[[nodiscard]] const std::vector<std::string>& setting_sections();

/// Reads a registered file. Nothing where it is not TOML; otherwise all that could be read, and every mistake in
/// `diagnostics`.
[[nodiscard]] std::optional<Sweep> read_sweep(int file, Diagnostics& diagnostics);

}  // namespace mestre
