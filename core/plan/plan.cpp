#include "core/plan/plan.h"

#include <limits>

#include <fmt/format.h>

#include "core/base/units.h"
#include "core/plan/budget.h"
#include "core/plan/cell_jobs.h"
#include "core/plan/comparisons.h"
#include "core/plan/conditions.h"
#include "core/spec/sweep.h"

namespace mestre {
namespace {

constexpr int kEnoughErrors = 200;  // a grid whose every cell is wrong says the same thing often

// Every option that an axis sets is a seed.
bool replicates(const Axis& axis) {
  bool any = false;
  for (const AxisPoint& point : axis.points) {
    for (const Setting& setting : point.settings) {
      if (setting.dotted != "train.seed_init" && setting.dotted != "train.seed_data") return false;
      any = true;
    }
  }
  return any;
}

// Builds the plan of one sweep, cell by cell. What many cells share is computed once and kept here.
class Planner {
 public:
  Planner(const Sweep& sweep, int file, const PlanContext& context, Diagnostics& diagnostics)
      : sweep_(sweep),
        file_(file),
        diagnostics_(diagnostics),
        resolver_(sweep, file, context, diagnostics),
        jobs_(sweep, context, resolver_, plan_, diagnostics),
        comparisons_(sweep, resolver_, plan_, diagnostics) {}

  std::optional<Plan> run() {
    describe();
    if (!sweep_.axes_are_sound || !grid_fits()) return std::nullopt;
    std::vector<std::int64_t> hits;
    const Grid grid = expand(sweep_.axes, sweep_.exclusions, hits);
    check_conditions(sweep_, file_, grid, hits, diagnostics_);
    plan_.cells.reserve(grid.count);
    jobs_.reserve(grid.count);
    for (std::size_t i = 0; i < grid.count && diagnostics_.error_count() < kEnoughErrors; ++i) add_cell(grid[i]);
    jobs_.check_all_used();
    plan_.missing = resolver_.corpora().missing();
    if (!diagnostics_.has_errors())  // else cells are missing from the sum
      check_budget(plan_, sweep_.options.budget, place_of_budget(), diagnostics_);
    if (diagnostics_.has_errors()) return std::nullopt;
    return std::move(plan_);
  }

 private:
  void describe() {
    plan_.name = sweep_.options.name;
    plan_.question = sweep_.options.question;
    plan_.file = diagnostics_.file_name(file_);
    plan_.baseline = sweep_.baseline;
    plan_.slurm = sweep_.slurm;
    if (sweep_.worker) plan_.worker_command = sweep_.worker->command;
    for (const Axis& axis : sweep_.axes) {
      PlannedAxis planned{.name = axis.name, .labels = {}, .replicates = replicates(axis)};
      for (const AxisPoint& point : axis.points) planned.labels.push_back(point.label);
      plan_.axes.push_back(std::move(planned));
    }
  }

  // Before anything is expanded: a grid can have more cells than there is memory.
  bool grid_fits() {
    const std::int64_t cells = grid_size(sweep_.axes);
    const std::int64_t limit = sweep_.options.max_jobs;
    if (cells <= limit) return true;
    std::string sizes;
    for (const Axis& axis : sweep_.axes)
      sizes += fmt::format("{}{} {}", sizes.empty() ? "" : " x ", escaped(axis.name),
                           with_thousands(static_cast<std::int64_t>(axis.points.size())));
    const bool overflow = cells == std::numeric_limits<std::int64_t>::max();
    Position place = sweep_.axes.front().place;
    place.length = 0;
    diagnostics_.error(place,
                       fmt::format("the grid has {} cells, more than max_jobs = {}",
                                   overflow ? "more than 9.2e18" : with_thousands(cells), with_thousands(limit)),
                       {sizes, "raise sweep.max_jobs, or drop an axis"});
    return false;
  }

  void add_cell(CellIndex index) {
    const CellParts parts = resolver_.resolve(index);
    if (!parts.sound()) return jobs_.check(index, parts);
    const auto number = static_cast<std::int64_t>(plan_.cells.size());
    PlannedCell cell;
    name_cell(index, cell);
    cell.options = options_of(parts);
    cell.jobs = jobs_.add(index, parts, cell.name, repetition(index) * (std::int64_t{1} << 32) + number);
    cell.solution = solution_of(parts.model);
    plan_.cells.push_back(std::move(cell));
    plan_.cells.back().marks = comparisons_.marks_of(index, parts);
  }

  // Canonical JSON of what the cell is, for the view `runs`.
  [[nodiscard]] std::string options_of(const CellParts& parts) const {
    const ResolvedData& data = resolver_.data(parts.data);
    const PlannedCorpus* text = parts.trains ? &data.training_text() : data.tokenizer();
    return fmt::format(R"({{"data":{},"model":{},"train":{}}})", text != nullptr ? text->json : "null",
                       resolver_.model(parts.model).json, parts.trains ? resolver_.train(parts.train).json : "null");
  }

  // Which repetition of its experiment a cell is: its index on the axes that vary seeds only.
  [[nodiscard]] std::int64_t repetition(CellIndex index) const {
    std::int64_t number = 0;
    for (std::size_t a = 0; a < index.size(); ++a)
      if (plan_.axes[a].replicates && index[a] >= 0)
        number = number * static_cast<std::int64_t>(plan_.axes[a].labels.size()) + index[a];
    return number;
  }

  void name_cell(CellIndex index, PlannedCell& cell) const {
    cell.labels.reserve(index.size());
    for (std::size_t a = 0; a < index.size(); ++a) {
      if (index[a] < 0) {
        cell.labels.emplace_back();
        continue;
      }
      const std::string& label = plan_.axes[a].labels[static_cast<std::size_t>(index[a])];
      cell.labels.push_back(label);
      if (!cell.name.empty()) cell.name += ',';
      cell.name.append(plan_.axes[a].name).append("=").append(label);
    }
    if (cell.name.empty()) cell.name = plan_.name;
  }

  [[nodiscard]] Position place_of_budget() const {
    const TomlEntry* header = sweep_.root->find("sweep");
    const TomlEntry* budget = header != nullptr ? header->value.find("budget") : nullptr;
    return budget != nullptr ? budget->value.where : Position{.file = file_};
  }

  // Cells with one model share what was solved for it.
  std::int32_t solution_of(std::int32_t model) {
    const std::optional<Solution>& solution = resolver_.model(model).solution;
    if (!solution) return -1;
    const auto [found, is_new] = solutions_.try_emplace(model, static_cast<std::int32_t>(plan_.solutions.size()));
    if (is_new) plan_.solutions.push_back(*solution);
    return found->second;
  }

  const Sweep& sweep_;
  int file_;
  Diagnostics& diagnostics_;
  Resolver resolver_;
  Plan plan_;
  CellJobs jobs_;
  Comparisons comparisons_;
  std::map<std::int32_t, std::int32_t> solutions_;  // of a model
};

}  // namespace

std::optional<Plan> plan_sweep(const std::string& file, const PlanContext& context, Diagnostics& diagnostics) {
  const int before = diagnostics.error_count();
  const int index = load_file(file, file, diagnostics);
  const std::optional<Sweep> sweep = read_sweep(index, diagnostics);
  if (!sweep) return std::nullopt;
  std::optional<Plan> plan = Planner(*sweep, index, context, diagnostics).run();
  if (diagnostics.error_count() > before) return std::nullopt;
  return plan;
}

}  // namespace mestre
