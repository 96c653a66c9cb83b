// The part of the resolver that settles [[solve]]: for which cell, with which target.

#include <algorithm>

#include <fmt/format.h>

#include "core/plan/resolver.h"
#include "core/plan/solving.h"
#include "core/spec/solve.h"

namespace mestre {

// What is solved for depends on the axes of the conditions, and on all that the target and the quantity depend on.
void Resolver::note_solves() {
  static const std::set<std::string> kOfTraining = {"train.tokens", "train.steps", "train.sequence_length",
                                                    "train.sequences_per_step"};
  static const std::set<std::string> kOfMemory = {"train.sequence_length", "train.sequences_per_step",
                                                  "train.precision", "resources.gpus", "resources.micro_batch"};
  for (const SolveRequest& request : sweep_.solves) {
    depend_on(request.where);
    if (request.quantity == SolveQuantity::kTrainingFlops) depend_on_setters(kOfTraining);
    if (request.quantity == SolveQuantity::kMemory) depend_on_setters(kOfMemory);
    if (request.target) continue;
    for (const Axis& axis : sweep_.axes) depend_on(axis.where);  // they decide which axes the baseline cell has
  }
}

void Resolver::depend_on(const Where& where) {
  for (const Condition& condition : where.conditions) model_scope_.depend_on(condition.axis);
}

// Not on every axis of [train]: with another seed the same is solved for.
void Resolver::depend_on_setters(const std::set<std::string>& options) {
  const auto sets = [&](const std::vector<Setting>& settings) {
    return std::any_of(settings.begin(), settings.end(),
                       [&](const Setting& setting) { return options.contains(setting.dotted); });
  };
  for (std::size_t a = 0; a < sweep_.axes.size(); ++a) {
    const std::vector<AxisPoint>& points = sweep_.axes[a].points;
    if (std::any_of(points.begin(), points.end(), [&](const AxisPoint& point) { return sets(point.settings); }))
      model_scope_.depend_on(a);
  }
  for (const Override& over : sweep_.overrides)
    if (sets(over.settings)) depend_on(over.where);
}

const SolveRequest* Resolver::solve_for(CellIndex cell) const {
  const auto found = std::find_if(sweep_.solves.begin(), sweep_.solves.end(),
                                  [&](const SolveRequest& request) { return matches(request.where, cell); });
  return found == sweep_.solves.end() ? nullptr : &*found;
}

// Whether nothing is to be solved for in a cell with a model that can't be varied; else it is reported, once.
bool Resolver::may_be_left_unsolved(CellIndex cell, std::string_view why) {
  const SolveRequest* request = solve_for(cell);
  if (request == nullptr) return true;
  if (checked_.insert(request->place).second)
    diagnostics_.error(request->place, fmt::format("a cell to solve for has a model that {}", why),
                       {"expected a where that leaves such cells out"});
  return false;
}

// Nothing where there is none, which is reported once.
std::optional<double> Resolver::target_of(const SolveRequest& request, CellIndex cell) {
  if (request.target) return request.target;
  std::vector<std::int32_t> baseline;
  if (!baselines_.find(cell, baseline)) {
    if (checked_.insert(request.target_place).second)
      diagnostics_.error(request.target_place, "a cell to solve for has no baseline cell", {"an [[exclude]] drops it"});
    return std::nullopt;
  }
  if (std::equal(cell.begin(), cell.end(), baseline.begin())) {
    if (checked_.insert(request.target_place).second)
      diagnostics_.error(request.target_place, "the baseline cell would be matched to itself",
                         {"expected a where that leaves the baseline out, or a number to match"});
    return std::nullopt;
  }
  const CellParts parts = resolve(baseline);
  static const TrainOptions kNone;
  if (!parts.sound()) return std::nullopt;
  return quantity_of(request.quantity, models_[parts.model].spec,
                     parts.train >= 0 ? trains_[parts.train].options : kNone, launches_[parts.launch].options);
}

// A setting as if a file had it, at the place that names the option.
const Setting& Resolver::setting_of(const SolveRequest& request, std::int64_t value) {
  auto& [number, setting] = solved_.emplace_back();
  number.kind = TomlValue::Kind::kInteger;
  number.where = request.vary.key_place();
  number.integer = value;
  setting = request.vary;
  setting.value = &number;
  return setting;
}

std::optional<Solution> Resolver::solve(const SolveRequest& request, CellIndex cell, const CellParts& parts,
                                        ComposedModel composed, std::int64_t vocabulary) {
  static const TrainOptions kNone;
  const std::optional<double> target = target_of(request, cell);
  if (!target || (parts.train < 0 && parts.trains) || parts.data < 0 || parts.launch < 0) return std::nullopt;
  overlay(composed.settings, setting_of(request, request.step));
  const std::optional<ModelSpec> draft = model_reader_.draft(composed.settings, composed.owner);
  if (!draft) return std::nullopt;
  const Surroundings around{.vocabulary = vocabulary,
                            .train = parts.train >= 0 ? trains_[parts.train].options : kNone,
                            .launch = launches_[parts.launch].options};
  SolveOutcome outcome = solve_option(request, *target, *draft, composed.owner.name, around, diagnostics_);
  if (outcome.solution || outcome.was_reported) return std::move(outcome.solution);
  // Either something else is wrong with the model, which reading it tells, or the option can have no such value.
  if (read_model(composed, vocabulary))
    diagnostics_.error(request.vary.key_place(),
                       fmt::format("'{}' can have no multiple of {}", escaped(request.vary.dotted), request.step),
                       {"expected a smaller step, or another option to vary"});
  return std::nullopt;
}

std::vector<const Setting*> Resolver::sources_of(CellIndex cell) {
  std::vector<const Setting*> sources;
  for (const SectionScope* scope : {&train_.scope(), &data_.scope(), &launch_.scope()})
    for (const Setting* setting : scope->settings(cell)) overlay(sources, *setting);
  const NamedModel named = named_model(cell);
  if (std::optional<ComposedModel> model = compose_model(named, cell))
    for (const Setting* setting : model->settings) overlay(sources, *setting);
  for (const Setting* setting : {named.use, named.folder})
    if (setting != nullptr) overlay(sources, *setting);
  if (const SolveRequest* request = solve_for(cell)) overlay(sources, setting_of(*request, request->step));
  return sources;
}

}  // namespace mestre
