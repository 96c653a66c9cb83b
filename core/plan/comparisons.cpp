#include "core/plan/comparisons.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/plan/option_list.h"

namespace mestre {
namespace {

bool sets(const std::vector<Setting>& settings, const Setting& wanted) {
  return std::any_of(settings.begin(), settings.end(), [&](const Setting& one) { return one.dotted == wanted.dotted; });
}

}  // namespace

Comparisons::Comparisons(const Sweep& sweep, Resolver& resolver, Plan& plan, Diagnostics& diagnostics)
    : sweep_(sweep), resolver_(resolver), plan_(plan), diagnostics_(diagnostics), baselines_(sweep) {}

std::int32_t Comparisons::marks_of(CellIndex cell, const CellParts& parts) {
  if (baselines_.none()) return -1;
  if (!baselines_.find(cell, baseline_)) {
    if (!reported_)
      diagnostics_.error(
          place_of_baseline(),
          fmt::format("cell '{}' has no baseline: an [[exclude]] drops it", escaped(plan_.cells.back().name)),
          {"expected each cell to have one that is equal to it but for the baseline's labels"});
    reported_ = true;
    return -1;
  }
  if (std::equal(cell.begin(), cell.end(), baseline_.begin())) return -1;
  const CellParts other = resolver_.resolve(baseline_);
  if (!other.sound()) return -1;

  Key key = {-1, -1, -1, -1, -1, -1, 0, conditions_key(cell, baseline_)};
  const auto note = [&](std::size_t at, std::int32_t here, std::int32_t there) {
    if (here == there) return;
    key[at] = here;
    key[at + 1] = there;
  };
  note(0, parts.train, other.train);
  note(2, parts.data, other.data);
  note(4, parts.model, other.model);
  for (std::size_t a = 0; a < cell.size(); ++a)
    if (cell[a] != baseline_[a]) key[6] |= std::int64_t{1} << a;
  const auto [found, is_new] = known_.try_emplace(key, -1);
  if (!is_new) return found->second;
  FairnessFacts here = facts_of(parts);
  FairnessFacts there = facts_of(other);
  if (parts.trains != other.trains) {  // of a model that was not trained here only the sizes are known
    for (FairnessFacts* facts : {&here, &there})
      *facts = {.parameters = facts->parameters, .parameters_without_embeddings = facts->parameters_without_embeddings};
  }
  std::vector<std::string> marks =
      unfair(here, there, declared_between(cell, baseline_), sweep_.options.parameter_tolerance);
  if (marks.empty()) return -1;
  const auto [list, is_new_list] = lists_.try_emplace(std::move(marks), static_cast<std::int32_t>(plan_.marks.size()));
  if (is_new_list) plan_.marks.push_back(list->first);
  found->second = list->second;
  return found->second;
}

FairnessFacts Comparisons::facts_of(const CellParts& parts) const {
  const ResolvedData& data = resolver_.data(parts.data);
  const ModelSpec& model = resolver_.model(parts.model).spec;
  FairnessFacts facts{.parameters = model.parameters(),
                      .parameters_without_embeddings = model.parameters_without_embeddings()};
  if (parts.trains) {
    const TrainOptions& train = resolver_.train(parts.train).options;
    const DataIdentity& text = data.training_text().identity;
    facts.tokens = train.tokens;
    facts.data = text.digest + text.task;
    facts.tokenizer = text.tokenizer;
    list_options(train, "train.", facts.options);
  }
  if (data.validation) facts.options.emplace_back("data.validation", data.validation->identity.digest);
  list_options(model, facts.options);
  std::sort(facts.options.begin(), facts.options.end());
  return facts;
}

Declared Comparisons::declared_between(CellIndex cell, CellIndex baseline) const {
  Declared declared;
  const auto add = [&](const Axis& axis, std::int32_t label) {
    if (label < 0) return;
    for (const Setting& setting : axis.points[static_cast<std::size_t>(label)].settings) {
      declared.options.insert(setting.dotted);
      declared.model = declared.model || setting.dotted == "model.use" || setting.dotted == "model.layers";
    }
  };
  for (std::size_t a = 0; a < cell.size(); ++a) {
    if (cell[a] == baseline[a]) continue;
    const Axis& axis = sweep_.axes[a];
    add(axis, cell[a]);
    add(axis, baseline[a]);
    for (const Setting& setting : sweep_.settings)
      if (setting.dotted == "model.use" && setting.value->text.find("{" + axis.name + "}") != std::string::npos)
        declared.model = true;
  }
  for (const SolveRequest& request : sweep_.solves)
    if (matches(request.where, cell) || matches(request.where, baseline)) declared.options.insert(request.vary.dotted);
  // What a [[when]] gives to one of the two only is no property of the model that was named.
  for (const Override& over : sweep_.overrides) {
    if (matches(over.where, cell) == matches(over.where, baseline)) continue;
    for (const Setting& setting : over.settings) {
      const bool also_other = std::any_of(sweep_.overrides.begin(), sweep_.overrides.end(), [&](const Override& other) {
        return &other != &over && sets(other.settings, setting) &&
               (matches(other.where, cell) || matches(other.where, baseline));
      });
      if (!also_other) declared.only_one_has.insert(setting.dotted);
    }
  }
  return declared;
}

// How each [[when]] and [[solve]] treats the two; beyond what fits into the number, folded.
std::int64_t Comparisons::conditions_key(CellIndex cell, CellIndex baseline) const {
  std::uint64_t key = 0;
  const auto add = [&](const Where& where) {
    const std::uint64_t treated = (matches(where, cell) ? 1U : 0U) + (matches(where, baseline) ? 2U : 0U);
    key = (key << 2U | key >> 62U) ^ treated;
  };
  for (const Override& over : sweep_.overrides) add(over.where);
  for (const SolveRequest& request : sweep_.solves) add(request.where);
  return static_cast<std::int64_t>(key);
}

Position Comparisons::place_of_baseline() const {
  const TomlEntry* header = sweep_.root->find("sweep");
  const TomlEntry* entry = header != nullptr ? header->value.find("baseline") : nullptr;
  return entry != nullptr ? entry->value.where : Position{};
}

}  // namespace mestre
