// Settings of [model] as a ModelSpec, and the files under models/ that `model.use` names.
//
// Both report to the Diagnostics they were made with, and both remember what they have read: they are meant to be asked
// once for each distinct model of a sweep. Not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/spec/model.h"
#include "core/spec/option_schema.h"
#include "core/spec/settings.h"

namespace mestre {

/// What a model is called in messages, and where a mistake that has no place of its own is shown.
struct ModelOwner {
  std::string name;  // "model 'samba-0.8m'" or "[model]"
  Position place;
};

/// Layers of a model, written out. With the bounds of the options, parameters then fit 64 bits.
inline constexpr std::int64_t kMostLayers = 100000;

class ModelReader {
 public:
  explicit ModelReader(Diagnostics& diagnostics);
  ~ModelReader();

  /// Builds and resolves the model; `vocabulary` is the tokenizer's. Nothing where a mistake was reported, by this call
  /// or, for the same place, by an earlier one. Settings of other sections and model.use must have been left out; of
  /// one key, only one setting may be there.
  [[nodiscard]] std::optional<ModelSpec> read(const std::vector<const Setting*>& settings, const ModelOwner& owner,
                                              std::int64_t vocabulary);
  /// The same before what depends on the rest is filled in and checked: for trying values of an option.
  [[nodiscard]] std::optional<ModelSpec> draft(const std::vector<const Setting*>& settings, const ModelOwner& owner);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One file under models/.
struct ModelFile {
  std::string name;  // as model.use names it
  std::string path;
  std::vector<Setting> settings;  // of its [model]
  Position place;                 // of the header of [model]
  std::string doc;                // [about] doc: what the model is and where its numbers come from
  std::int64_t sequence_length =
      4096;              // [about] sequence_length: of the training it is meant for; the catalogue counts FLOPs at it
  bool is_sound = true;  // false where a mistake outside [model] was reported
  std::unique_ptr<const TomlValue> root;
};

class ModelFiles {
 public:
  /// Looks in models/ beside each of the sweep's files, then beside each folder above it. `folders` as the user wrote
  /// them ("" for the working directory).
  ModelFiles(const std::vector<fs::path>& folders, Diagnostics& diagnostics);

  /// The file called `name`; nullptr where there is none or it has mistakes, which is reported at `place` or in the
  /// file.
  [[nodiscard]] const ModelFile* find(const std::string& name, Position place);

 private:
  std::vector<fs::path> folders_;
  Diagnostics& diagnostics_;
  std::map<std::string, std::unique_ptr<ModelFile>> files_;
};

/// Reads one model file. Nothing where it is not TOML. Throws Error as load_file does.
[[nodiscard]] std::unique_ptr<ModelFile> read_model_file(const fs::path& path, const std::string& name,
                                                         Diagnostics& diagnostics);

/// Names of the model files under `folder`, sorted.
[[nodiscard]] std::vector<std::string> model_names(const fs::path& folder);

/// Where model.use looks: models/ in `folder` (as the user wrote it, "" for the working directory), then in each folder
/// above it, those that are there.
[[nodiscard]] std::vector<fs::path> model_folders(fs::path folder);

/// A model file's model, by itself.
struct ListedModel {
  std::string name;  // as model.use names it
  std::string doc;
  std::int64_t sequence_length = 0;  // of the training it is meant for
  ModelSpec spec;
};

/// All models under `folder`, sorted by name. `vocabulary` is for those that take the tokenizer's. Mistakes are
/// reported, and the model left out.
[[nodiscard]] std::vector<ListedModel> list_models(const fs::path& folder, std::int64_t vocabulary,
                                                   Diagnostics& diagnostics);

}  // namespace mestre
