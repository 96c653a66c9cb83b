#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/spec/model_reader.h"
#include "core/spec/option_reader.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

// [about] of a model file.
struct AboutOptions final : Options {
  std::string doc;
  std::int64_t sequence_length = 4096;
  void describe(OptionVisitor& visitor) override {
    visitor.visit({.name = "doc", .doc = "what the model is, and where its numbers come from"}, doc);
    visitor.visit({.name = "sequence_length",
                   .doc = "of the training it is meant for",
                   .unit = Unit::kTokens,
                   .min = 1,
                   .max = 1 << 26},
                  sequence_length);
  }
};

void read_about(const TomlEntry& entry, ModelFile& model, Diagnostics& diagnostics) {
  AboutOptions about;
  const OptionSchema schema(about);
  const std::vector<Setting> settings = flatten(entry);
  std::vector<const Setting*> pointers;
  for (const Setting& setting : settings)
    if (setting.path.size() > 1) pointers.push_back(&setting);
  const std::vector<ReadSetting> read = read_settings(schema, pointers, 1, "[about]", diagnostics);
  std::vector<const ReadSetting*> chosen;
  for (const ReadSetting& one : read) chosen.push_back(&one);
  std::vector<const Setting*> sources;
  apply_settings(schema, chosen, about, sources, "[about]", entry.where, diagnostics);
  model.doc = about.doc;
  model.sequence_length = about.sequence_length;
}

// A name stays inside the models folder.
bool is_model_name(const std::string& name) {
  const fs::path path(name);
  return !name.empty() && name.find('\0') == std::string::npos && path.is_relative() &&
         std::none_of(path.begin(), path.end(),
                      [](const fs::path& part) { return part == ".." || part == "." || part.empty(); });
}

}  // namespace

std::vector<std::string> model_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code problem;
  for (fs::recursive_directory_iterator it(folder, problem), end; !problem && it != end; it.increment(problem)) {
    if (it->path().extension() != ".toml") continue;
    names.push_back(it->path().lexically_relative(folder).replace_extension().generic_string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::unique_ptr<ModelFile> read_model_file(const fs::path& path, const std::string& name, Diagnostics& diagnostics) {
  const int before = diagnostics.error_count();
  const int file = load_file(path, path.generic_string(), diagnostics);
  std::optional<TomlValue> root = parse_toml(file, diagnostics);
  if (!root) return nullptr;
  auto model = std::make_unique<ModelFile>();
  model->name = name;
  model->path = path.generic_string();
  model->root = std::make_unique<const TomlValue>(std::move(*root));
  for (const TomlEntry& entry : model->root->entries) {
    if (entry.key != "model" && entry.key != "about") {
      diagnostics.error(entry.where, fmt::format("unknown section '{}' in a model file", escaped(entry.key)),
                        {expected_one_of(entry.key, {"about", "model"})});
    } else if (!entry.value.is(Kind::kTable)) {
      diagnostics.error(entry.value.where, fmt::format("'{}' is not a table", entry.key),
                        {fmt::format("expected [{}] and its options below", entry.key)});
    } else if (entry.key == "about") {
      read_about(entry, *model, diagnostics);
    } else {
      model->place = entry.value.where;
      for (Setting& setting : flatten(entry))
        if (setting.path.size() > 1) model->settings.push_back(std::move(setting));
    }
  }
  for (const Setting& setting : model->settings)
    if (setting.dotted == "model.use")
      diagnostics.error(setting.key_place(), "model.use in a model file",
                        {"expected the options of one model; use stands in sweeps"});
  if (model->root->find("model") == nullptr)
    diagnostics.error({.file = file}, "no [model] in this file", {"expected [model] with width and layers"});
  model->is_sound = diagnostics.error_count() == before;
  return model;
}

std::vector<fs::path> model_folders(fs::path folder) {
  // Upwards in the words of the user, so that messages name files as he would: experiments/paper, experiments, ., ..
  std::vector<fs::path> folders;
  fs::path written = folder.empty() ? fs::path(".") : std::move(folder);
  fs::path at = fs::absolute(written).lexically_normal();
  if (!at.has_filename()) at = at.parent_path();  // "a/.", in normal form "a/"
  for (;; at = at.parent_path()) {
    std::error_code ignored;
    if (fs::is_directory(at / "models", ignored)) folders.push_back((written / "models").lexically_normal());
    if (at == at.parent_path()) break;
    written = (written / "..").lexically_normal();
  }
  return folders;
}

std::vector<ListedModel> list_models(const fs::path& folder, std::int64_t vocabulary, Diagnostics& diagnostics) {
  std::vector<ListedModel> models;
  std::vector<std::unique_ptr<ModelFile>> files;  // their settings must stay while the reader lives
  ModelReader reader(diagnostics);
  for (const std::string& name : model_names(folder)) {
    files.push_back(read_model_file(folder / (name + ".toml"), name, diagnostics));
    if (files.back() == nullptr) continue;  // not TOML, which is reported
    const ModelFile& file = *files.back();
    std::vector<const Setting*> settings;
    overlay(settings, file.settings);
    const ModelOwner owner = {.name = fmt::format("model '{}'", name), .place = file.place};
    std::optional<ModelSpec> spec = reader.read(settings, owner, vocabulary);
    if (spec) models.push_back({name, file.doc, file.sequence_length, std::move(*spec)});
  }
  return models;
}

ModelFiles::ModelFiles(const std::vector<fs::path>& folders, Diagnostics& diagnostics) : diagnostics_(diagnostics) {
  for (const fs::path& folder : folders) {
    for (fs::path at = fs::absolute(folder.empty() ? "." : folder).lexically_normal();; at = at.parent_path()) {
      diagnostics_.note_input((at / "models").native());  // one that appears may come first
      if (at == at.parent_path()) break;
    }
    for (fs::path& models : model_folders(folder))
      if (std::find(folders_.begin(), folders_.end(), models) == folders_.end()) folders_.push_back(std::move(models));
  }
}

const ModelFile* ModelFiles::find(const std::string& name, Position place) {
  const auto known = files_.find(name);
  if (known != files_.end()) return known->second.get();
  std::unique_ptr<ModelFile>& slot = files_[name];
  if (!is_model_name(name)) {
    diagnostics_.error(place, fmt::format("'{}' cannot be the name of a model", escaped(name)),
                       {"expected a file below models/, without .toml"});
    return nullptr;
  }
  for (const fs::path& folder : folders_) {
    const fs::path path = folder / (name + ".toml");
    std::error_code ignored;
    diagnostics_.note_input(path.native());
    if (fs::exists(path, ignored)) {
      slot = read_model_file(path, name, diagnostics_);
      return slot.get();
    }
  }
  const std::vector<std::string> names = folders_.empty() ? std::vector<std::string>() : model_names(folders_.front());
  std::vector<std::string> notes;
  if (names.empty()) {
    notes.emplace_back("expected a folder models/ beside the sweep or above it, with a TOML file for each model");
  } else {
    notes.push_back(expected_one_of(name, names));
    notes.push_back(fmt::format("looked for {} in {}", escaped(name) + ".toml", folders_.front().generic_string()));
  }
  diagnostics_.error(place, fmt::format("no model '{}'", escaped(name)), std::move(notes));
  return nullptr;
}

}  // namespace mestre
