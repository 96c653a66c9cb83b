#include "core/plan/resolver.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/plan/checkpoint_folder.h"
#include "core/spec/free_model.h"
#include "core/spec/job.h"
#include "core/spec/model_config.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

// Models stand beside the sweep, or beside one that it extends.
std::vector<fs::path> folders_of(const Sweep& sweep, const Diagnostics& diagnostics) {
  std::vector<fs::path> folders;
  for (const int file : sweep.files) folders.push_back(fs::path(diagnostics.file_name(file)).parent_path());
  return folders;
}

}  // namespace

Resolver::Resolver(const Sweep& sweep, int file, const PlanContext& context, Diagnostics& diagnostics)
    : sweep_(sweep),
      file_(file),
      context_(context),
      diagnostics_(diagnostics),
      train_(sweep, "train", file, train_prototype_, diagnostics),
      data_(sweep, "data", file, data_prototype_, diagnostics),
      launch_(sweep, "resources", file, launch_prototype_, diagnostics),
      model_scope_(sweep, "model"),
      model_reader_(diagnostics),
      model_files_(folders_of(sweep, diagnostics), diagnostics),
      corpora_(context, diagnostics),
      baselines_(sweep) {
  model_scope_.depend_on(data_.scope());  // the vocabulary is the tokenizer's
  note_templates();
  note_solves();
  for (const Setting* setting : model_scope_.all_settings())
    has_folders_ = has_folders_ || setting->dotted == "model.checkpoint";
  const auto needs_training = [](const Request& request) {
    return request.type == nullptr || request.type->needs_checkpoint;
  };
  const std::vector<const Setting*> train = train_.scope().all_settings();
  measures_only_ =
      !sweep.requests.empty() && sweep.stages.empty() &&
      std::none_of(train.begin(), train.end(), [](const Setting* one) { return one->dotted == "train.tokens"; }) &&
      std::none_of(sweep.requests.begin(), sweep.requests.end(), needs_training);
}

CellParts Resolver::resolve(CellIndex cell) {
  CellParts parts;
  parts.trains = trains(cell);
  if (parts.trains || measures_only_)
    parts.train = trains_.index(0, train_.scope().key(cell), [&] { return resolve_train(0, cell); });
  parts.data = datas_.index(0, data_.scope().key(cell), [&] { return resolve_data(0, cell); });
  parts.launch = launches_.index(0, launch_.scope().key(cell), [&] { return resolve_launch(0, cell); });
  parts.model = models_.index(0, model_scope_.key(cell), [&] { return resolve_model(cell, parts); });
  if (parts.data >= 0 && parts.trains && !datas_[parts.data].train) {
    diagnostics_.error(data_.place(), "[data] lacks 'train'",
                       {"train: manifest of the training text, relative to the data root", "expected text in quotes"});
    parts.data = -1;
  }
  return parts;
}

CellParts Resolver::resolve_layer(std::size_t layer, CellIndex cell, const CellParts& own) {
  CellParts parts = own;
  if (own.trains && train_.has_own(layer))
    parts.train = trains_.index(layer, train_.scope().key(cell), [&] { return resolve_train(layer, cell); });
  if (data_.has_own(layer))
    parts.data = datas_.index(layer, data_.scope().key(cell), [&] { return resolve_data(layer, cell); });
  if (launch_.has_own(layer))
    parts.launch = launches_.index(layer, launch_.scope().key(cell), [&] { return resolve_launch(layer, cell); });
  return parts;
}

bool Resolver::trains(CellIndex cell) const {
  if (measures_only_) return false;
  if (!has_folders_) return true;
  const std::vector<const Setting*> settings = model_scope_.settings(cell);
  return std::none_of(settings.begin(), settings.end(),
                      [](const Setting* setting) { return setting->dotted == "model.checkpoint"; });
}

std::optional<ResolvedTrain> Resolver::resolve_train(std::size_t layer, CellIndex cell) {
  TrainSettings settings;
  std::vector<const Setting*> sources;
  const Completeness completeness = measures_only_ ? Completeness::kPartial : Completeness::kComplete;
  bool sound = train_.fill(cell, layer, settings, sources, diagnostics_, completeness);
  ResolvedTrain train{.options = settings.options, .json = {}};
  const bool in_steps = train_.source(sources, "steps") != nullptr;
  const auto complain = [&](std::string_view field, std::string message, std::string expectation) {
    sound = false;
    const Position place = train_.place_of(sources, field);
    if (checked_.insert(place).second) diagnostics_.error(place, std::move(message), {std::move(expectation)});
  };
  if (!measures_only_ && !in_steps && train_.source(sources, "tokens") == nullptr) {
    sound = false;
    diagnostics_.error(train_.place(), "[train] lacks 'tokens'",
                       {"tokens: training budget, rounded up to whole steps",
                        "expected a number of tokens such as \"20B\" or \"4Ki\", or steps = 500"});
  }
  if (!sound) return std::nullopt;
  const std::int64_t a_step = train.options.tokens_per_step();
  if (in_steps && __builtin_mul_overflow(settings.steps, a_step, &train.options.tokens))
    complain("steps", fmt::format("{} steps of {} tokens are too many to count", settings.steps, a_step),
             "expected at most 1e18 tokens in all");
  if (sound) train.options.check(complain);
  if (!sound) return std::nullopt;
  train.json = canonical_json(train.options);
  return train;
}

std::optional<ResolvedLaunch> Resolver::resolve_launch(std::size_t layer, CellIndex cell) {
  ResolvedLaunch launch;
  std::vector<const Setting*> sources;
  bool sound = launch_.fill(cell, layer, launch.options, sources, diagnostics_);
  if (!sound) return std::nullopt;
  launch.options.check([&](std::string_view field, std::string message, std::string expectation) {
    sound = false;
    const Position place = launch_.place_of(sources, field);
    if (checked_.insert(place).second) diagnostics_.error(place, std::move(message), {std::move(expectation)});
  });
  return sound ? std::optional(std::move(launch)) : std::nullopt;
}

std::optional<ResolvedData> Resolver::resolve_data(std::size_t layer, CellIndex cell) {
  DataOptions options;
  std::vector<const Setting*> sources;
  if (!data_.fill(cell, layer, options, sources, diagnostics_)) return std::nullopt;
  // A digest that the cell pins is not that of another text which a layer names.
  const auto pin = [&](const char* field, const char* pin_field, const std::string& digest) {
    const Setting* source = data_.source(sources, field);
    const bool foreign =
        layer > 0 && data_.is_of_layer(source, layer) && !data_.is_of_layer(data_.source(sources, pin_field), layer);
    return foreign ? std::string() : digest;
  };
  ResolvedData data;
  bool sound = true;
  const auto find = [&](const char* field, const char* pin_field, TextUse use, const std::string& path,
                        const std::string& digest, std::optional<PlannedCorpus>& corpus) {
    if (data_.source(sources, field) == nullptr) return;
    corpus = corpora_.find(path, use, pin(field, pin_field, digest), data_.place_of(sources, field),
                           data_.place_of(sources, pin_field));
    sound = sound && corpus.has_value();
  };
  find("train", "train_digest", TextUse::kTraining, options.train, options.train_digest, data.train);
  find("validation", "validation_digest", TextUse::kScoring, options.validation, options.validation_digest,
       data.validation);
  if (!sound) return std::nullopt;
  if (!options.task.empty() && data.tokenizer() != nullptr) {
    data.made = corpora_.made_by(options.task, *data.tokenizer(), data_.place_of(sources, "task"));
    if (!data.made) return std::nullopt;
  }
  return data;
}

// "{architecture}-{scale}" in model.use makes the model depend on those axes.
void Resolver::note_templates() {
  for (const Setting* setting : model_scope_.all_settings()) {
    if (setting->dotted != "model.use" || !setting->value->is(Kind::kText)) continue;
    for (std::size_t a = 0; a < sweep_.axes.size(); ++a)
      if (setting->value->text.find("{" + sweep_.axes[a].name + "}") != std::string::npos) model_scope_.depend_on(a);
  }
}

std::optional<std::string> Resolver::fill_template(const Setting& use, CellIndex cell) {
  const TomlValue& value = *use.value;
  if (!value.is(Kind::kText)) {
    diagnostics_.error(value.where, fmt::format("model.use cannot be {}", shown(value)),
                       {"expected the name of a file below models/, without .toml"});
    return std::nullopt;
  }
  std::string text = value.text;
  for (std::size_t open = text.find('{'); open != std::string::npos; open = text.find('{', open)) {
    const std::size_t close = text.find('}', open);
    const std::string name = close == std::string::npos ? "" : text.substr(open + 1, close - open - 1);
    const auto axis =
        std::find_if(sweep_.axes.begin(), sweep_.axes.end(), [&](const Axis& one) { return one.name == name; });
    const auto index = static_cast<std::size_t>(axis - sweep_.axes.begin());
    if (axis == sweep_.axes.end() || cell[index] < 0) {
      std::vector<std::string> names;
      for (const Axis& one : sweep_.axes) names.push_back(one.name);
      diagnostics_.error(value.where, fmt::format("'{{{}}}' in model.use is no axis of this cell", escaped(name)),
                         {expected_one_of(name, names)});
      return std::nullopt;
    }
    const std::string& label = axis->points[static_cast<std::size_t>(cell[index])].label;
    text.replace(open, close - open + 1, label);
    open += label.size();
  }
  return text;
}

Resolver::NamedModel Resolver::named_model(CellIndex cell) const {
  NamedModel named;
  for (const Setting* setting : model_scope_.settings(cell)) {
    if (setting->dotted == "model.use") {
      named.use = setting;
    } else if (setting->dotted == "model.checkpoint") {
      named.folder = setting;
    } else {
      named.over.push_back(setting);
    }
  }
  return named;
}

std::optional<ResolvedModel> Resolver::resolve_model(CellIndex cell, const CellParts& parts) {
  const NamedModel named = named_model(cell);
  const PlannedCorpus* tokenizer = parts.data >= 0 ? datas_[parts.data].tokenizer() : nullptr;
  const std::int64_t vocabulary = tokenizer != nullptr ? tokenizer->identity.vocabulary : 0;
  if (named.folder != nullptr) {
    if (!may_be_left_unsolved(cell, "is read from a checkpoint")) return std::nullopt;
    return read_folder(named, cell, vocabulary);
  }
  if (sweep_.worker && named.use == nullptr && is_free_model(named.over)) {
    if (!may_be_left_unsolved(cell, "is known to its worker alone")) return std::nullopt;
    std::optional<std::string> json = free_model_json(named.over, diagnostics_);
    if (!json) return std::nullopt;
    return ResolvedModel{.spec = {}, .json = std::move(*json), .versions = "{}", .checkpoint = {}, .solution = {}};
  }
  std::optional<ComposedModel> composed = compose_model(named, cell);
  if (!composed) return std::nullopt;
  ResolvedModel model;
  if (const SolveRequest* request = solve_for(cell)) {
    model.solution = solve(*request, cell, parts, *composed, vocabulary);
    if (!model.solution) return std::nullopt;
    overlay(composed->settings, setting_of(*request, model.solution->value));
  }
  std::optional<ModelSpec> spec = read_model(*composed, vocabulary);
  if (!spec) return std::nullopt;
  model.spec = std::move(*spec);
  model.json = canonical_json(model.spec);
  model.versions = sweep_.worker ? "{}" : canonical_versions(model.spec);
  return model;
}

// What a file and the cell's own options describe together.
std::optional<Resolver::ComposedModel> Resolver::compose_model(const NamedModel& named, CellIndex cell) {
  ComposedModel model{.settings = {}, .owner = {.name = "[model]", .place = place_of_section("model")}};
  if (named.use != nullptr) {
    const std::optional<std::string> name = fill_template(*named.use, cell);
    if (!name) return std::nullopt;
    const ModelFile* file = model_files_.find(*name, named.use->value->where);
    if (file == nullptr) return std::nullopt;
    model.file_is_sound = file->is_sound;
    model.owner = {.name = fmt::format("model '{}'", *name), .place = file->place};
    overlay(model.settings, file->settings);
  } else if (named.over.empty()) {
    diagnostics_.error(model.owner.place, "the sweep names no model",
                       {"expected model.use = \"…\" in an axis or in [model], which names a file below models/"});
    return std::nullopt;
  }
  for (const Setting* setting : named.over) overlay(model.settings, *setting);
  return model;
}

std::optional<ModelSpec> Resolver::read_model(const ComposedModel& composed, std::int64_t vocabulary) {
  const auto& [settings, owner, file_is_sound] = composed;
  std::optional<ModelSpec> spec = model_reader_.read(settings, owner, vocabulary);
  if (!spec || !file_is_sound) return std::nullopt;
  if (spec->options.vocabulary < vocabulary) {
    const auto setter = std::find_if(settings.begin(), settings.end(),
                                     [](const Setting* one) { return one->dotted == "model.vocabulary"; });
    diagnostics_.error(
        setter != settings.end() ? (*setter)->value->where : owner.place,
        fmt::format("a vocabulary of {} for a tokenizer with {} tokens", spec->options.vocabulary, vocabulary),
        {"expected at least as many; 0 takes the tokenizer's"});
    return std::nullopt;
  }
  return spec;
}

// model.checkpoint: weights from a folder. Its architecture is that of config.json unless the sweep says it.
std::optional<ResolvedModel> Resolver::read_folder(const NamedModel& named, CellIndex cell, std::int64_t vocabulary) {
  const TomlValue& value = *named.folder->value;
  if (!value.is(Kind::kText) || !stays_below(value.text)) {
    diagnostics_.error(
        value.where, fmt::format("model.checkpoint cannot be {}", shown(value)),
        {"expected a folder below the data root in Hugging Face's layout: config.json and *.safetensors"});
    return std::nullopt;
  }
  const fs::path folder = fs::path(context_.data_root) / value.text;
  diagnostics_.note_input((folder / "config.json").native());
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".safetensors") diagnostics_.note_input(entry.path().native());
  const std::optional<CheckpointFolder> found = read_checkpoint_folder(folder, context_.cache);
  ResolvedModel model;
  model.checkpoint = {.path = value.text,
                      .digest = found ? found->digest : "missing:" + value.text,
                      .place = value.where,
                      .missing = !found};
  if (!found)
    corpora_.add_missing({.path = value.text,
                          .place = folder.lexically_normal().generic_string(),
                          .remedy = "expected a folder with config.json and *.safetensors, as Hugging Face has them"});
  if (named.use != nullptr || !named.over.empty()) {
    std::optional<ComposedModel> composed = compose_model(named, cell);
    std::optional<ModelSpec> spec = composed ? read_model(*composed, vocabulary) : std::nullopt;
    if (!spec) return std::nullopt;
    model.spec = std::move(*spec);
  } else if (found) {
    try {
      model.spec = read_model_config(found->config).model;
    } catch (const Error& problem) {
      std::vector<std::string> hints = problem.hints();
      hints.emplace_back("or say its architecture in [model] beside model.checkpoint");
      diagnostics_.error(value.where, fmt::format("'{}': {}", escaped(value.text), problem.message()), hints);
      return std::nullopt;
    }
  }
  model.json = canonical_json(model.spec);
  model.versions = canonical_versions(model.spec);
  return model;
}

Position Resolver::place_of_section(const std::string& section) const {
  const auto header = sweep_.sections.find(section);
  return header != sweep_.sections.end() ? header->second : Position{.file = file_, .line = 0};
}

}  // namespace mestre
