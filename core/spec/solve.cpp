#include "core/spec/solve.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "core/mixers/registry.h"
#include "core/spec/model.h"
#include "core/spec/names.h"
#include "core/spec/option_reader.h"
#include "core/spec/where.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

const std::vector<std::string> kQuantities = {"parameters", "parameters_without_embeddings", "training_flops",
                                              "memory"};

struct SolveOptions final : Options {
  std::string vary;
  std::int64_t step = 1;
  void describe(OptionVisitor& visitor) override {
    visitor.visit({.name = "vary", .doc = "the option to choose, such as \"model.mlp.intermediate\"", .required = true},
                  vary);
    visitor.visit(
        {.name = "step", .doc = "the option becomes a multiple of it", .unit = Unit::kCount, .min = 1, .max = 1e6},
        step);
  }
};

// Of a target that is a number.
struct TargetOptions final : Options {
  std::int64_t parameters = 0;
  std::int64_t parameters_without_embeddings = 0;
  double training_flops = 0;
  std::int64_t memory = 0;
  double tolerance = 0.01;
  void describe(OptionVisitor& visitor) override {
    visitor.visit({.name = "parameters", .doc = "in all", .unit = Unit::kCount, .min = 1, .max = 1e18}, parameters);
    visitor.visit({.name = "parameters_without_embeddings",
                   .doc = "without the embedding and an untied head",
                   .unit = Unit::kCount,
                   .min = 1,
                   .max = 1e18},
                  parameters_without_embeddings);
    visitor.visit({.name = "training_flops", .doc = "floating-point operations of the whole training", .min = 1},
                  training_flops);
    visitor.visit({.name = "memory", .doc = "of one GPU while training", .unit = Unit::kBytes, .min = 1, .max = 1e18},
                  memory);
    visitor.visit({.name = "tolerance", .doc = "largest residual, as a share of the target", .min = 0, .max = 1},
                  tolerance);
  }
  [[nodiscard]] double number(SolveQuantity quantity) const {
    switch (quantity) {
      case SolveQuantity::kParameters:
        return static_cast<double>(parameters);
      case SolveQuantity::kParametersWithoutEmbeddings:
        return static_cast<double>(parameters_without_embeddings);
      case SolveQuantity::kTrainingFlops:
        return training_flops;
      case SolveQuantity::kMemory:
        return static_cast<double>(memory);
    }
    return 0;
  }
};

/// The names of options, by whether they are whole numbers.
class NamesByKind final : public OptionVisitor {
 public:
  void visit(const Field& field, std::int64_t&) override { whole_numbers.emplace(field.name); }
  void visit(const Field& field, bool&) override { others.emplace(field.name); }
  void visit(const Field& field, double&) override { others.emplace(field.name); }
  void visit(const Field& field, std::string&) override { others.emplace(field.name); }
  void visit(const Field& field, std::vector<std::int64_t>&) override { others.emplace(field.name); }
  void visit(const Field& field, std::vector<std::string>&) override { others.emplace(field.name); }

  std::set<std::string, std::less<>> whole_numbers, others;
};

/// False where every model option of this name is something else than a whole number. Unknown ones are found when the
/// model is read, which knows the mixer and so the nearest name.
bool may_count(std::string_view option) {
  NamesByKind names;
  ModelOptions().describe(names);
  for (const MixerType& type : mixer_types()) type.make()->describe(names);
  return names.whole_numbers.contains(option) || !names.others.contains(option);
}

class SolveReader {
 public:
  SolveReader(const TomlValue& table, const Sweep& sweep, Diagnostics& diagnostics)
      : table_(table), sweep_(sweep), diagnostics_(diagnostics) {}

  std::optional<SolveRequest> read() {
    const int before = diagnostics_.error_count();
    request_.place = table_.where;
    if (const TomlEntry* where = table_.find("where")) request_.where = read_where(*where, sweep_.axes, diagnostics_);
    SolveOptions options;
    if (read_options(table_, {"where", "target"}, "[[solve]]", options)) {
      request_.step = options.step;
      read_vary(options.vary);
    }
    const TomlEntry* target = table_.find("target");
    if (target == nullptr) {
      diagnostics_.error(table_.where, "[[solve]] lacks 'target'",
                         {"expected what to match, such as target = { parameters = \"baseline\", tolerance = 0.002 }"});
    } else {
      read_target(target->value);
    }
    if (diagnostics_.error_count() > before) return std::nullopt;
    return std::move(request_);
  }

 private:
  // All keys of a table but `others` as options.
  bool read_options(const TomlValue& table, const std::vector<std::string>& others, const std::string& owner,
                    Options& options) {
    const OptionSchema schema(options);
    std::vector<Setting> settings;
    for (const TomlEntry& entry : table.entries) {
      if (std::find(others.begin(), others.end(), entry.key) != others.end()) continue;
      for (Setting& setting : flatten(entry)) settings.push_back(std::move(setting));
    }
    std::vector<const Setting*> pointers;
    for (const Setting& setting : settings) pointers.push_back(&setting);
    const std::vector<ReadSetting> read = read_settings(schema, pointers, 0, owner, diagnostics_);
    std::vector<const ReadSetting*> chosen;
    for (const ReadSetting& one : read) chosen.push_back(&one);
    std::vector<const Setting*> sources;
    return apply_settings(schema, chosen, options, sources, owner, table.where, diagnostics_);
  }

  void read_vary(const std::string& text) {
    const Position place = table_.find("vary")->value.where;
    for (std::size_t from = 0; from <= text.size();) {
      const std::size_t dot = std::min(text.find('.', from), text.size());
      request_.vary.path.push_back({text.substr(from, dot - from), place});
      from = dot + 1;
    }
    const auto& path = request_.vary.path;
    const bool good = (path.size() == 2 || path.size() == 3) && path.front().name == "model" &&
                      std::none_of(path.begin(), path.end(), [](const KeyPart& part) { return part.name.empty(); });
    if (!good || !may_count(path.back().name))
      diagnostics_.error(
          place, fmt::format("'{}' {}", escaped(text), good ? "is not a whole number" : "cannot be varied"),
          {"expected a whole-number option of [model], such as \"model.mlp.intermediate\" or \"model.width\""});
    request_.vary.dotted = request_.vary.written = text;
  }

  void read_target(const TomlValue& target) {
    if (!target.is(Kind::kTable))
      return diagnostics_.error(
          target.where, fmt::format("target cannot be {}", shown(target)),
          {"expected a quantity and a tolerance, such as { parameters = \"438M\", tolerance = 0.002 }"});
    std::vector<const TomlEntry*> named;
    for (const TomlEntry& entry : target.entries)
      if (std::find(kQuantities.begin(), kQuantities.end(), entry.key) != kQuantities.end()) named.push_back(&entry);
    TargetOptions options;
    const bool is_baseline = named.size() == 1 && named[0]->value.is(Kind::kText) && named[0]->value.text == "baseline";
    const bool sound = read_options(
        target, is_baseline ? std::vector<std::string>{named[0]->key} : std::vector<std::string>{}, "target", options);
    if (named.size() != 1) {
      if (!sound) return;
      return diagnostics_.error(
          target.where, named.empty() ? "a target without a quantity" : "a target with several quantities",
          {fmt::format("expected one of {}: one option can match one quantity", fmt::join(kQuantities, ", "))});
    }
    const auto index = std::find(kQuantities.begin(), kQuantities.end(), named[0]->key) - kQuantities.begin();
    request_.quantity = static_cast<SolveQuantity>(index);
    request_.tolerance = options.tolerance;
    request_.target_place = named[0]->value.where;
    if (!is_baseline) {
      request_.target = options.number(request_.quantity);
    } else if (sweep_.baseline.empty()) {
      diagnostics_.error(named[0]->value.where, "the sweep names no baseline to match",
                         {"expected baseline = { axis = \"label\" } in [sweep], or a number here"});
    }
  }

  const TomlValue& table_;
  const Sweep& sweep_;
  Diagnostics& diagnostics_;
  SolveRequest request_;
};

}  // namespace

std::string_view name_of(SolveQuantity quantity) {
  return kQuantities[static_cast<std::size_t>(quantity)];
}

std::optional<SolveRequest> read_solve(const TomlValue& table, const Sweep& sweep, Diagnostics& diagnostics) {
  return SolveReader(table, sweep, diagnostics).read();
}

}  // namespace mestre
