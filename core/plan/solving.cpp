#include "core/plan/solving.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/base/units.h"
#include "core/plan/estimate.h"
#include "core/plan/solver.h"
#include "core/spec/model_reader.h"
#include "core/spec/solve.h"

namespace mestre {
namespace {

// Finds a whole-number field by its name.
class IntegerField final : public OptionVisitor {
 public:
  explicit IntegerField(std::string_view name) : name_(name) {}
  void visit(const Field& field, std::int64_t& value) override {
    if (field.name != name_) return;
    found = &value;
    min = static_cast<std::int64_t>(std::max(field.min, 1.0));
    max = static_cast<std::int64_t>(std::min(field.max, 1e12));
  }
  void visit(const Field&, bool&) override {}
  void visit(const Field&, double&) override {}
  void visit(const Field&, std::string&) override {}
  void visit(const Field&, std::vector<std::int64_t>&) override {}
  void visit(const Field&, std::vector<std::string>&) override {}

  std::int64_t* found = nullptr;
  std::int64_t min = 1;
  std::int64_t max = 1;

 private:
  std::string_view name_;
};

IntegerField find_field(ModelSpec& model, const Setting& vary) {
  IntegerField field(vary.path.back().name);
  if (vary.path.size() == 2) {
    model.options.describe(field);
  } else if (const auto instance = model.instances.find(vary.path[1].name); instance != model.instances.end()) {
    instance->second->describe(field);
  }
  return field;
}

bool is_possible(const ModelSpec& model) {
  const ModelOptions& options = model.options;
  if (static_cast<std::int64_t>(options.layers.size()) > kMostLayers / options.repeat) return false;
  bool possible = true;
  for (const auto& [name, mixer] : model.instances)
    mixer->check(model.shape(), [&](std::string_view, const std::string&, const std::string&) { possible = false; });
  return possible;
}

std::string shown_quantity(SolveQuantity quantity, double value) {
  if (quantity == SolveQuantity::kMemory) return short_bytes(value);
  if (quantity == SolveQuantity::kTrainingFlops) return fmt::format("{:.4g} FLOP", value);
  return value < 1e6 ? with_thousands(std::llround(value)) : fmt::format("{}M", rounded(value / 1e6));
}

std::string shown_point(const SolveRequest& request, double target, const SolvePoint& point) {
  return fmt::format("{} gives {} ({:+.3g} %)", with_thousands(point.value),
                     shown_quantity(request.quantity, point.quantity), 100 * residual(point.quantity, target));
}

void complain_of_residual(const SolveRequest& request, double target, const std::string& owner, const Solved& solved,
                          Diagnostics& diagnostics) {
  std::string neighbours;
  for (const auto& point : {solved.below, solved.above})
    if (point) neighbours += (neighbours.empty() ? "" : "; ") + shown_point(request, target, *point);
  const std::string multiple = request.step > 1 ? fmt::format("multiple of {}", with_thousands(request.step)) : "value";
  diagnostics.error(
      request.target_place,
      fmt::format("no {} of '{}' brings {} of {} within {:.3g} % of {}", multiple, escaped(request.vary.dotted),
                  name_of(request.quantity), owner, 100 * request.tolerance, shown_quantity(request.quantity, target)),
      {"nearest: " + neighbours,
       "expected a tolerance that allows one of them, a smaller step, or another option to vary"});
}

}  // namespace

double quantity_of(SolveQuantity quantity, const ModelSpec& model, const TrainOptions& train,
                   const LaunchOptions& launch) {
  switch (quantity) {
    case SolveQuantity::kParameters:
      return static_cast<double>(model.parameters());
    case SolveQuantity::kParametersWithoutEmbeddings:
      return static_cast<double>(model.parameters_without_embeddings());
    case SolveQuantity::kTrainingFlops:
    case SolveQuantity::kMemory:
      break;
  }
  const ModelCost cost = cost_of(model, train.sequence_length, train.is_bfloat16());
  const Estimate estimate = estimate_training(cost, train, launch);
  return quantity == SolveQuantity::kMemory ? estimate.memory.total() : estimate.flops;
}

SolveOutcome solve_option(const SolveRequest& request, double target, const ModelSpec& draft, const std::string& owner,
                          const Surroundings& around, Diagnostics& diagnostics) {
  ModelSpec probe = draft;
  const IntegerField field = find_field(probe, request.vary);
  if (field.found == nullptr) {
    diagnostics.error(request.vary.key_place(), fmt::format("'{}' is not a whole number", escaped(request.vary.dotted)),
                      {"expected an option that counts something, such as \"model.mlp.intermediate\", \"model.width\" "
                       "or \"model.repeat\""});
    return {.solution = std::nullopt, .was_reported = true};
  }
  const auto up = [&](std::int64_t value) { return (value + request.step - 1) / request.step * request.step; };
  const SolveRange range{.first = up(field.min), .last = field.max / request.step * request.step, .step = request.step};
  const Quantity quantity = [&](std::int64_t value) -> std::optional<double> {
    ModelSpec model = draft;
    *find_field(model, request.vary).found = value;
    model.resolve(around.vocabulary);
    if (!is_possible(model)) return std::nullopt;
    return quantity_of(request.quantity, model, around.train, around.launch);
  };
  const std::optional<Solved> solved = solve(range, target, quantity);
  if (!solved) return {};
  const double off = residual(solved->best.quantity, target);
  if (std::abs(off) > request.tolerance) {
    complain_of_residual(request, target, owner, *solved, diagnostics);
    return {.solution = std::nullopt, .was_reported = true};
  }
  Solution solution{.option = request.vary.dotted,
                    .value = solved->best.value,
                    .quantity = std::string(name_of(request.quantity)),
                    .of_baseline = !request.target,
                    .target = target,
                    .reached = solved->best.quantity,
                    .residual = off,
                    .tolerance = request.tolerance};
  return {.solution = std::move(solution)};
}

}  // namespace mestre
