#include "core/plan/resolver.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/spec/job.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

constexpr std::int64_t kAssumedTokens = 10'000'000;  // of a corpus that is not there

fs::path folder_of(const std::string& file) {
  return fs::path(file).parent_path();
}

// What a plan reckons with in the place of a corpus that is not there.
PlannedCorpus stand_in(const std::string& path, Position place) {
  PlannedCorpus corpus{.path = path,
                       .identity = {.digest = "missing:" + path, .tokenizer = "unknown", .tokenizer_version = 0},
                       .tokens = kAssumedTokens,
                       .json = {},
                       .place = place,
                       .missing = true};
  corpus.json = canonical_json(corpus.identity);
  return corpus;
}

// Whether a path stays below the folder it is relative to.
bool stays_below(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos || fs::path(path).is_absolute()) return false;
  const fs::path normal = fs::path(path).lexically_normal();
  return !normal.empty() && *normal.begin() != ".." && normal != ".";
}

}  // namespace

Resolver::Section::Section(const Sweep& sweep, const std::string& name, int file, Options& prototype,
                           Diagnostics& diagnostics)
    : scope(sweep, name), schema(prototype), owner("[" + name + "]"), place{.file = file, .line = 0} {
  const auto header = sweep.sections.find(name);
  if (header != sweep.sections.end()) place = header->second;
  for (const Setting* setting : scope.all_settings()) {
    std::vector<ReadSetting> result = read_settings(schema, {setting}, 1, owner, diagnostics);
    read.emplace(setting, result.empty() ? ReadSetting{} : std::move(result.front()));
  }
}

bool Resolver::Section::fill(CellIndex cell, Options& options, std::vector<const Setting*>& sources,
                             Diagnostics& diagnostics) const {
  std::vector<const ReadSetting*> chosen;
  bool known = true;
  for (const Setting* setting : scope.settings(cell)) {
    const ReadSetting& one = read.at(setting);
    if (one.field >= 0) {
      chosen.push_back(&one);
    } else {
      known = false;
    }
  }
  return apply_settings(schema, chosen, options, sources, owner, place, diagnostics) && known;
}

const Setting* Resolver::Section::source(const std::vector<const Setting*>& sources, std::string_view field) const {
  const int index = schema.find(field);
  return index < 0 ? nullptr : sources[static_cast<std::size_t>(index)];
}

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
      model_files_(folder_of(diagnostics.file_name(file)), diagnostics) {
  model_scope_.depend_on(data_.scope);  // the vocabulary is the tokenizer's
  note_templates();
}

CellParts Resolver::resolve(CellIndex cell) {
  CellParts parts;
  parts.train = trains_.index(train_.scope.key(cell), [&] { return resolve_train(cell); });
  parts.data = datas_.index(data_.scope.key(cell), [&] { return resolve_data(cell); });
  parts.launch = launches_.index(launch_.scope.key(cell), [&] { return resolve_launch(cell); });
  static const ResolvedData kUnknown;
  const ResolvedData& data = parts.data >= 0 ? datas_[parts.data] : kUnknown;
  parts.model = models_.index(model_scope_.key(cell), [&] { return resolve_model(cell, data); });
  return parts;
}

std::optional<ResolvedTrain> Resolver::resolve_train(CellIndex cell) {
  TrainSettings settings;
  std::vector<const Setting*> sources;
  bool sound = train_.fill(cell, settings, sources, diagnostics_);
  ResolvedTrain train{.options = settings.options, .json = {}};
  const Setting* steps = train_.source(sources, "steps");
  const auto complain = [&](std::string_view field, std::string message, std::string expectation) {
    sound = false;
    const Setting* source = train_.source(sources, field);
    const Position place = source != nullptr ? source->value->where : train_.place;
    if (checked_.insert(place).second) diagnostics_.error(place, std::move(message), {std::move(expectation)});
  };
  if (steps == nullptr && train_.source(sources, "tokens") == nullptr) {
    sound = false;
    diagnostics_.error(train_.place, "[train] lacks 'tokens'",
                       {"tokens: training budget, rounded up to whole steps",
                        "expected a number of tokens such as \"20B\" or \"4Ki\", or steps = 500"});
  }
  if (!sound) return std::nullopt;
  if (steps != nullptr &&
      __builtin_mul_overflow(settings.steps, train.options.tokens_per_step(), &train.options.tokens))
    complain(
        "steps",
        fmt::format("{} steps of {} tokens are too many to count", settings.steps, train.options.tokens_per_step()),
        "expected at most 1e18 tokens in all");
  if (sound) train.options.check(complain);
  if (!sound) return std::nullopt;
  train.json = canonical_json(train.options);
  return train;
}

std::optional<ResolvedLaunch> Resolver::resolve_launch(CellIndex cell) {
  ResolvedLaunch launch;
  std::vector<const Setting*> sources;
  if (!launch_.fill(cell, launch.options, sources, diagnostics_)) return std::nullopt;
  return launch;
}

std::optional<ResolvedData> Resolver::resolve_data(CellIndex cell) {
  DataOptions options;
  std::vector<const Setting*> sources;
  if (!data_.fill(cell, options, sources, diagnostics_)) return std::nullopt;
  const auto place = [&](std::string_view field) {
    const Setting* source = data_.source(sources, field);
    return source != nullptr ? source->value->where : data_.place;
  };
  ResolvedData data;
  std::optional<PlannedCorpus> train =
      find_corpus(options.train, options.train_digest, place("train"), place("train_digest"));
  if (!options.validation.empty()) {
    data.validation =
        find_corpus(options.validation, options.validation_digest, place("validation"), place("validation_digest"));
    if (!data.validation) return std::nullopt;
  }
  if (!train) return std::nullopt;
  data.train = std::move(*train);
  return data;
}

std::optional<PlannedCorpus> Resolver::find_corpus(const std::string& path, const std::string& pin, Position place,
                                                   Position pin_place) {
  if (!stays_below(path)) {
    diagnostics_.error(place, fmt::format("'{}' is outside the data folder", escaped(path)),
                       {"expected a path below it, such as \"torch-headers/train.manifest\"",
                        fmt::format("the data folder is '{}'; --data names another", context_.data_root)});
    return std::nullopt;
  }
  const FoundManifest& at = manifest(path, place);
  if (at.missing) return stand_in(path, place);
  if (!at.manifest) return std::nullopt;
  const Manifest* found = &*at.manifest;
  if (!pin.empty() && pin != found->identity.digest) {
    diagnostics_.error(pin_place, fmt::format("'{}' is not the pinned data", escaped(path)),
                       {fmt::format("expected the digest {}, found {}", escaped(pin), found->identity.digest),
                        "prepare the data again from the same text, or pin what is there"});
    return std::nullopt;
  }
  return PlannedCorpus{.path = path,
                       .identity = found->identity,
                       .tokens = found->tokens,
                       .json = canonical_json(found->identity),
                       .place = place};
}

const Resolver::FoundManifest& Resolver::manifest(const std::string& path, Position place) {
  const auto [slot, is_new] = manifests_.try_emplace(path);
  FoundManifest& found = slot->second;
  if (!is_new) return found;
  const fs::path whole = fs::path(context_.data_root) / path;
  try {
    found.manifest = read_manifest(whole);
  } catch (const Error& problem) {
    found.missing = problem.code() == ErrorCode::kNotFound;
    if (!found.missing) {
      diagnostics_.error(place, problem.message(), problem.hints());
    } else {
      const std::string name = folder_of(path).generic_string();
      missing_.push_back({.path = path,
                          .place = whole.lexically_normal().generic_string(),
                          .remedy = fmt::format("mestre data prepare {} FILES-OR-FOLDERS --holdout 0.02",
                                                name.empty() ? "NAME" : name)});
    }
  }
  return found;
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

std::optional<ResolvedModel> Resolver::resolve_model(CellIndex cell, const ResolvedData& data) {
  std::vector<const Setting*> over;
  const Setting* use = nullptr;
  for (const Setting* setting : model_scope_.settings(cell)) {
    if (setting->dotted == "model.use") {
      use = setting;
      continue;
    }
    overlay(over, *setting);
  }
  ModelOwner owner{.name = "[model]", .place = place_of_section("model")};
  std::vector<const Setting*> settings;
  bool sound = true;
  if (use != nullptr) {
    const std::optional<std::string> name = fill_template(*use, cell);
    const ModelFile* file = name ? model_files_.find(*name, use->value->where) : nullptr;
    if (file == nullptr) return std::nullopt;
    sound = file->is_sound;
    owner = {.name = fmt::format("model '{}'", *name), .place = file->place};
    overlay(settings, file->settings);
  } else if (over.empty()) {
    diagnostics_.error(owner.place, "the sweep names no model",
                       {"expected model.use = \"…\" in an axis or in [model], which names a file below models/"});
    return std::nullopt;
  }
  for (const Setting* setting : over) overlay(settings, *setting);
  std::optional<ModelSpec> spec = model_reader_.read(settings, owner, data.train.identity.vocabulary);
  if (!spec || !sound) return std::nullopt;
  const std::int64_t needed = data.train.identity.vocabulary;
  if (spec->options.vocabulary < needed) {
    const auto setter = std::find_if(settings.begin(), settings.end(),
                                     [](const Setting* one) { return one->dotted == "model.vocabulary"; });
    diagnostics_.error(
        setter != settings.end() ? (*setter)->value->where : owner.place,
        fmt::format("a vocabulary of {} for a tokenizer with {} tokens", spec->options.vocabulary, needed),
        {"expected at least as many; 0 takes the tokenizer's"});
    return std::nullopt;
  }
  ResolvedModel model{.spec = std::move(*spec), .json = {}, .versions = {}};
  model.json = canonical_json(model.spec);
  model.versions = canonical_versions(model.spec);
  return model;
}

Position Resolver::place_of_section(const std::string& section) const {
  const auto header = sweep_.sections.find(section);
  return header != sweep_.sections.end() ? header->second : Position{.file = file_, .line = 0};
}

}  // namespace mestre
