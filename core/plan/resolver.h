// The settings of a cell as typed values: how it is trained, on what, which model, with what resources.
//
// Each section is resolved once for every distinct combination of the axis values that touch it, checked, and kept with
// its canonical JSON; for a cell there is then only a lookup. The same holds for what stages and requests lay over the
// cell's settings. Mistakes are reported once each. Refers to sweep, context and diagnostics, which outlive it.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/plan/baseline.h"
#include "core/plan/corpora.h"
#include "core/plan/section.h"
#include "core/spec/model.h"
#include "core/spec/model_reader.h"

namespace mestre {

struct ResolvedTrain {
  TrainOptions options;
  std::string json;
};
struct ResolvedData {
  std::optional<PlannedCorpus> train;
  std::optional<PlannedCorpus> validation;
  std::optional<PlannedCorpus> made;  // by data.task

  /// What a training reads; only where there is one.
  [[nodiscard]] const PlannedCorpus& training_text() const { return made ? *made : *train; }
  /// A corpus whose tokenizer the model has; nullptr where none is named.
  [[nodiscard]] const PlannedCorpus* tokenizer() const { return train ? &*train : validation ? &*validation : nullptr; }
};
/// Weights that were not trained here.
struct ResolvedCheckpoint {
  std::string path;  // of the folder, relative to the data root
  std::string digest;
  Position place;
  bool missing = false;
};
struct ResolvedModel {
  ModelSpec spec;  // without layers where a foreign worker has a model of its own
  std::string json;
  std::string versions;
  std::optional<ResolvedCheckpoint> checkpoint;
  std::optional<Solution> solution;
};
struct ResolvedLaunch {
  LaunchOptions options;
};

/// The distinct values of one section, by layer and the key of its scope. Values stay where they are.
template <class T>
class Resolved {
 public:
  /// Index of the value for `key`, made by `make` (an optional<T>) where the key is new; -1 where there is none because
  /// of a mistake.
  template <class Make>
  std::int32_t index(std::size_t layer, std::uint64_t key, Make make) {
    if (layer >= index_.size()) index_.resize(layer + 1);
    const auto [found, is_new] = index_[layer].try_emplace(key, -1);
    std::int32_t& slot = found->second;  // stays where it is, though `make` may add others
    if (!is_new) return slot;
    if (std::optional<T> value = make()) {
      values_.push_back(std::move(*value));
      slot = static_cast<std::int32_t>(values_.size()) - 1;
    }
    return slot;
  }
  [[nodiscard]] const T& operator[](std::int32_t index) const { return values_[static_cast<std::size_t>(index)]; }

 private:
  std::vector<std::unordered_map<std::uint64_t, std::int32_t>> index_;
  std::deque<T> values_;
};

/// What a cell resolves to: indices into the resolver's values, -1 where there were mistakes.
struct CellParts {
  std::int32_t train = -1;
  std::int32_t data = -1;
  std::int32_t model = -1;
  std::int32_t launch = -1;
  bool trains = true;  // false where the weights come from a folder, or none are needed: then `train` may be -1
  [[nodiscard]] bool sound() const { return (train >= 0 || !trains) && data >= 0 && model >= 0 && launch >= 0; }
};

class Resolver {
 public:
  Resolver(const Sweep& sweep, int file, const PlanContext& context, Diagnostics& diagnostics);

  [[nodiscard]] CellParts resolve(CellIndex cell);
  /// The same with the settings of a stage or request over the cell's, whose own parts are given.
  [[nodiscard]] CellParts resolve_layer(std::size_t layer, CellIndex cell, const CellParts& own);

  /// For each option of a sound cell that something sets, what sets it at last: a file, or a [[solve]] (at the place
  /// that names the option).
  [[nodiscard]] std::vector<const Setting*> sources_of(CellIndex cell);

  [[nodiscard]] const ResolvedTrain& train(std::int32_t index) const { return trains_[index]; }
  [[nodiscard]] const ResolvedData& data(std::int32_t index) const { return datas_[index]; }
  [[nodiscard]] const ResolvedModel& model(std::int32_t index) const { return models_[index]; }
  [[nodiscard]] const ResolvedLaunch& launch(std::int32_t index) const { return launches_[index]; }
  [[nodiscard]] Corpora& corpora() { return corpora_; }

 private:
  std::optional<ResolvedTrain> resolve_train(std::size_t layer, CellIndex cell);
  std::optional<ResolvedData> resolve_data(std::size_t layer, CellIndex cell);
  std::optional<ResolvedLaunch> resolve_launch(std::size_t layer, CellIndex cell);
  /// What the sweep says of a cell's model, beside the file that it names.
  struct NamedModel {
    const Setting* use = nullptr;     // model.use
    const Setting* folder = nullptr;  // model.checkpoint
    std::vector<const Setting*> over;
  };
  /// The settings of a file and of the cell together, each option once.
  struct ComposedModel {
    std::vector<const Setting*> settings;
    ModelOwner owner;
    bool file_is_sound = true;
  };
  [[nodiscard]] NamedModel named_model(CellIndex cell) const;
  std::optional<ComposedModel> compose_model(const NamedModel& named, CellIndex cell);
  std::optional<ResolvedModel> resolve_model(CellIndex cell, const CellParts& parts);
  std::optional<ModelSpec> read_model(const ComposedModel& composed, std::int64_t vocabulary);
  std::optional<ResolvedModel> read_folder(const NamedModel& named, CellIndex cell, std::int64_t vocabulary);

  const SolveRequest* solve_for(CellIndex cell) const;
  [[nodiscard]] bool may_be_left_unsolved(CellIndex cell, std::string_view why);
  std::optional<double> target_of(const SolveRequest& request, CellIndex cell);
  std::optional<Solution> solve(const SolveRequest& request, CellIndex cell, const CellParts& parts,
                                ComposedModel composed, std::int64_t vocabulary);
  const Setting& setting_of(const SolveRequest& request, std::int64_t value);
  void note_solves();
  void depend_on(const Where& where);
  void depend_on_setters(const std::set<std::string>& options);
  std::optional<std::string> fill_template(const Setting& use, CellIndex cell);
  void note_templates();
  [[nodiscard]] bool trains(CellIndex cell) const;
  Position place_of_section(const std::string& section) const;

  const Sweep& sweep_;
  int file_;
  const PlanContext& context_;
  Diagnostics& diagnostics_;
  TrainSettings train_prototype_;
  DataOptions data_prototype_;
  LaunchOptions launch_prototype_;
  Section train_;
  Section data_;
  Section launch_;
  SectionScope model_scope_;
  ModelReader model_reader_;
  ModelFiles model_files_;
  Corpora corpora_;
  bool has_folders_ = false;    // some cell names model.checkpoint
  bool measures_only_ = false;  // there is no budget: all that is asked for are speeds
  Resolved<ResolvedTrain> trains_;
  Resolved<ResolvedData> datas_;
  Resolved<ResolvedModel> models_;
  Resolved<ResolvedLaunch> launches_;
  std::set<Position> checked_;  // where check() has complained
  Baselines baselines_;
  std::deque<std::pair<TomlValue, Setting>> solved_;  // settings that no file has
};

}  // namespace mestre
