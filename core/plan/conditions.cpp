#include "core/plan/conditions.h"

#include <algorithm>

#include <fmt/format.h>

namespace mestre {
namespace {

void complain_of_no_match(const Where& where, const std::string& owner, Diagnostics& diagnostics) {
  if (!where.is_sound) return;
  diagnostics.error(where.place, fmt::format("this where of {} matches no cell", owner),
                    {"expected labels that some cell has together; is the cell excluded already?"});
}

void check_matches(const Where& where, const std::string& owner, const Grid& grid, Diagnostics& diagnostics) {
  if (where.conditions.empty()) return;
  for (std::size_t i = 0; i < grid.count; ++i)
    if (matches(where, grid[i])) return;
  complain_of_no_match(where, owner, diagnostics);
}

bool meet(const Grid& grid, const Where& a, const Where& b) {
  for (std::size_t i = 0; i < grid.count; ++i)
    if (matches(a, grid[i]) && matches(b, grid[i])) return true;
  return false;
}

// Two overrides that set one option must not meet in a cell.
void check_overrides_apart(const std::vector<Override>& overrides, const Grid& grid, Diagnostics& diagnostics) {
  for (std::size_t i = 0; i < overrides.size(); ++i) {
    for (std::size_t j = i + 1; j < overrides.size(); ++j) {
      const Override& first = overrides[i];
      const Override& second = overrides[j];
      for (const Setting& setting : second.settings) {
        const auto same = std::find_if(first.settings.begin(), first.settings.end(),
                                       [&](const Setting& other) { return other.dotted == setting.dotted; });
        if (same == first.settings.end() || !meet(grid, first.where, second.where)) continue;
        diagnostics.add({.severity = Severity::kError,
                         .where = setting.key_place(),
                         .message = fmt::format("two [[when]] set '{}' for one cell", setting.dotted),
                         .notes = {"expected conditions that no cell meets together"},
                         .also = {same->key_place()}});
      }
    }
  }
}

// Nothing else may set, for a cell, what is solved for there; and one cell has one unknown, since a second would spoil
// what the first matched.
void check_solves_apart(const Sweep& sweep, const Grid& grid, Diagnostics& diagnostics) {
  const auto complain = [&](Position place, std::string message, std::string note, Position other) {
    diagnostics.add({.severity = Severity::kError,
                     .where = place,
                     .message = std::move(message),
                     .notes = {std::move(note)},
                     .also = {other}});
  };
  for (std::size_t i = 0; i < sweep.solves.size(); ++i) {
    const SolveRequest& request = sweep.solves[i];
    const std::string& option = request.vary.dotted;
    const auto sets = [&](const Setting& setting) { return setting.dotted == option; };
    for (std::size_t j = 0; j < i; ++j)
      if (meet(grid, sweep.solves[j].where, request.where))
        complain(request.place, "two [[solve]] for one cell",
                 "expected conditions that no cell meets together: one option a cell can be solved for",
                 sweep.solves[j].place);
    for (const Override& over : sweep.overrides) {
      const auto found = std::find_if(over.settings.begin(), over.settings.end(), sets);
      if (found != over.settings.end() && meet(grid, over.where, request.where))
        complain(request.vary.key_place(),
                 fmt::format("[[solve]] and [[when]] both set '{}' for one cell", escaped(option)),
                 "expected one or the other; a where on each keeps them apart", found->key_place());
    }
    for (std::size_t a = 0; a < sweep.axes.size(); ++a) {
      for (std::size_t p = 0; p < sweep.axes[a].points.size(); ++p) {
        const std::vector<Setting>& settings = sweep.axes[a].points[p].settings;
        const auto found = std::find_if(settings.begin(), settings.end(), sets);
        if (found == settings.end()) continue;
        for (std::size_t cell = 0; cell < grid.count; ++cell) {
          if (grid[cell][a] != static_cast<std::int32_t>(p) || !matches(request.where, grid[cell])) continue;
          complain(request.vary.key_place(),
                   fmt::format("[[solve]] and axis '{}' both set '{}' for one cell", escaped(sweep.axes[a].name),
                               escaped(option)),
                   "expected one or the other: what an axis varies cannot be chosen besides", found->key_place());
          break;
        }
      }
    }
  }
}

}  // namespace

void check_conditions(const Sweep& sweep, int file, const Grid& grid, const std::vector<std::int64_t>& hits,
                      Diagnostics& diagnostics) {
  for (std::size_t i = 0; i < hits.size(); ++i)
    if (hits[i] == 0) complain_of_no_match(sweep.exclusions[i].where, "[[exclude]]", diagnostics);
  if (grid.count == 0)
    return diagnostics.error({.file = file}, "every cell is excluded", {"expected a cell that no [[exclude]] matches"});
  for (const Override& over : sweep.overrides) check_matches(over.where, "[[when]]", grid, diagnostics);
  for (const Stage& stage : sweep.stages) check_matches(stage.where, "[[stage]]", grid, diagnostics);
  for (const Request& request : sweep.requests) {
    const bool measures = request.type != nullptr && request.type->kind == TaskKind::kMeasurement;
    check_matches(request.where, measures ? "[[measure]]" : "[[evaluate]]", grid, diagnostics);
  }
  for (const Axis& axis : sweep.axes) check_matches(axis.where, "[[axis]]", grid, diagnostics);
  for (const SolveRequest& request : sweep.solves) check_matches(request.where, "[[solve]]", grid, diagnostics);
  check_overrides_apart(sweep.overrides, grid, diagnostics);
  check_solves_apart(sweep, grid, diagnostics);
}

}  // namespace mestre
