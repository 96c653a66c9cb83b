#include "core/plan/explain.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/mixers/registry.h"
#include "core/plan/option_list.h"
#include "core/plan/resolver.h"

namespace mestre {
namespace {

[[noreturn]] void no_such_cell(const std::string& message, const std::string& hint) {
  throw Error(ErrorCode::kNotFound, message).hint(hint);
}

std::map<std::string, std::string> split_labels(const std::string& text) {
  std::map<std::string, std::string> labels;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    const std::string part = text.substr(from, comma - from);
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos)
      no_such_cell(fmt::format("'{}' names no cell", escaped(text)),
                   "expected labels such as 'architecture=Samba,seed=3407'");
    labels[part.substr(0, equals)] = part.substr(equals + 1);
    from = comma + 1;
  }
  return labels;
}

// The labels as an index into the axes, one after the other: whether an axis exists depends on those before it.
std::vector<std::int32_t> find_cell(const Sweep& sweep, const std::string& text) {
  std::map<std::string, std::string> labels =
      text == sweep.options.name ? std::map<std::string, std::string>{} : split_labels(text);
  std::vector<std::int32_t> cell(sweep.axes.size(), -1);
  for (std::size_t a = 0; a < cell.size(); ++a) {
    const Axis& axis = sweep.axes[a];
    if (!matches(axis.where, cell)) continue;
    std::vector<std::string> known;
    for (const AxisPoint& point : axis.points) known.push_back(point.label);
    const auto named = labels.find(axis.name);
    if (named == labels.end())
      no_such_cell(fmt::format("'{}' names no label of axis '{}'", escaped(text), escaped(axis.name)),
                   expected_one_of("", known));
    const auto label = std::find(known.begin(), known.end(), named->second);
    if (label == known.end())
      no_such_cell(fmt::format("axis '{}' has no label '{}'", escaped(axis.name), escaped(named->second)),
                   expected_one_of(named->second, known));
    cell[a] = static_cast<std::int32_t>(label - known.begin());
    labels.erase(named);
  }
  if (labels.empty()) return cell;
  std::vector<std::string> axes;
  for (const Axis& axis : sweep.axes) axes.push_back(axis.name);
  no_such_cell(fmt::format("this cell has no axis '{}'", escaped(labels.begin()->first)),
               expected_one_of(labels.begin()->first, axes));
}

class Explainer {
 public:
  Explainer(const Sweep& sweep, Resolver& resolver, const Diagnostics& diagnostics)
      : sweep_(sweep), resolver_(resolver), diagnostics_(diagnostics) {}

  std::optional<CellExplanation> run(CellIndex cell) {
    CellExplanation explanation;
    for (std::size_t a = 0; a < cell.size(); ++a) {
      if (cell[a] < 0) continue;
      const Axis& axis = sweep_.axes[a];
      explanation.name += fmt::format("{}{}={}", explanation.name.empty() ? "" : ",", axis.name,
                                      axis.points[static_cast<std::size_t>(cell[a])].label);
    }
    if (explanation.name.empty()) explanation.name = sweep_.options.name;
    for (const Exclusion& one : sweep_.exclusions)
      if (matches(one.where, cell)) explanation.excluded_by = place(one.where.place);
    if (!explanation.excluded_by.empty()) return explanation;
    const CellParts parts = resolver_.resolve(cell);
    if (!parts.sound()) return std::nullopt;
    add_options(parts, cell, explanation.options);
    return explanation;
  }

 private:
  [[nodiscard]] std::string place(Position where) const {
    return fmt::format("{}:{}", diagnostics_.file_name(where.file), where.line);
  }

  void add_options(const CellParts& parts, CellIndex cell, std::vector<OptionOrigin>& out) {
    std::map<std::string, const Setting*> sources;
    for (const Setting* setting : resolver_.sources_of(cell)) sources[setting->dotted] = setting;
    const ResolvedModel& model = resolver_.model(parts.model);
    OptionList values;
    OptionList defaults;
    list_options(model.spec, values);
    if (parts.train >= 0) list_options(resolver_.train(parts.train).options, "train.", values);
    list_options(TrainOptions(), "train.", defaults);
    list_options(resolver_.launch(parts.launch).options, "resources.", values);
    list_options(LaunchOptions(), "resources.", defaults);
    for (const auto& [name, mixer] : model.spec.instances) {
      // As it would be were nothing set: what differs from it and was not set was worked out.
      const std::unique_ptr<MixerOptions> fresh = find_mixer_type(mixer->type())->make();
      list_options(*fresh, "model." + name + ".", defaults);
    }
    list_options(ModelOptions(), "model.", defaults);
    const std::map<std::string, std::string> initial(defaults.begin(), defaults.end());
    for (auto& [option, value] : values) {
      const auto source = sources.find(option);
      const auto fresh = initial.find(option);
      std::string origin = fresh != initial.end() && fresh->second == value ? "default" : "worked out";
      if (source != sources.end()) origin = place(source->second->value->where);
      if (model.solution && model.solution->option == option) origin += ", solved";
      out.push_back({option, value, std::move(origin)});
    }
    for (const auto& [option, setting] : sources)
      if (option.starts_with("data.") || option == "model.use")
        out.push_back({option, setting->value->text, place(setting->value->where)});
  }

  const Sweep& sweep_;
  Resolver& resolver_;
  const Diagnostics& diagnostics_;
};

}  // namespace

std::optional<CellExplanation> explain_cell(const std::string& file, const std::string& labels,
                                            const PlanContext& context, Diagnostics& diagnostics) {
  const int index = load_file(file, file, diagnostics);
  const std::optional<Sweep> sweep = read_sweep(index, diagnostics);
  if (!sweep || diagnostics.has_errors()) return std::nullopt;
  const std::vector<std::int32_t> cell = find_cell(*sweep, labels);
  Resolver resolver(*sweep, index, context, diagnostics);
  return Explainer(*sweep, resolver, diagnostics).run(cell);
}

}  // namespace mestre
