// The settings of a cell as typed values: how it is trained, on what, which model, with what resources.
//
// Each section is resolved once for every distinct combination of the axis values that touch it, checked, and kept with
// its canonical JSON; for a cell there is then only a lookup. Mistakes are reported once each. Refers to sweep, context
// and diagnostics, which outlive it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/data/manifest.h"
#include "core/plan/plan.h"
#include "core/plan/scope.h"
#include "core/spec/model.h"
#include "core/spec/model_reader.h"
#include "core/spec/option_reader.h"

namespace mestre {

/// A corpus as the plan knows it.
struct PlannedCorpus {
  std::string path;  // of the manifest, relative to the data root
  DataIdentity identity;
  std::int64_t tokens = 0;
  std::string json;      // canonical JSON of the identity
  Position place;        // of the option that names it
  bool missing = false;  // there is no manifest: identity and tokens are stand-ins
};

struct ResolvedTrain {
  TrainOptions options;
  std::string json;
};
struct ResolvedData {
  PlannedCorpus train;
  std::optional<PlannedCorpus> validation;
};
struct ResolvedModel {
  ModelSpec spec;
  std::string json;
  std::string versions;
};
struct ResolvedLaunch {
  LaunchOptions options;
};

/// The distinct values of one section, by the key of its scope. Values stay where they are.
template <class T>
class Resolved {
 public:
  /// Index of the value for `key`, made by `make` (an optional<T>) where the key is new; -1 where there is none because
  /// of a mistake.
  template <class Make>
  std::int32_t index(std::uint64_t key, Make make) {
    const auto [found, is_new] = index_.try_emplace(key, -1);
    if (!is_new) return found->second;
    if (std::optional<T> value = make()) {
      values_.push_back(std::move(*value));
      found->second = static_cast<std::int32_t>(values_.size()) - 1;
    }
    return found->second;
  }
  [[nodiscard]] const T& operator[](std::int32_t index) const { return values_[static_cast<std::size_t>(index)]; }

 private:
  std::unordered_map<std::uint64_t, std::int32_t> index_;
  std::deque<T> values_;
};

/// What a cell resolves to: indices into the resolver's values, -1 where there were mistakes.
struct CellParts {
  std::int32_t train = -1;
  std::int32_t data = -1;
  std::int32_t model = -1;
  std::int32_t launch = -1;
  [[nodiscard]] bool sound() const { return train >= 0 && data >= 0 && model >= 0 && launch >= 0; }
};

class Resolver {
 public:
  Resolver(const Sweep& sweep, int file, const PlanContext& context, Diagnostics& diagnostics);

  [[nodiscard]] CellParts resolve(CellIndex cell);
  /// The manifests that cells name and that are not there, in the order in which they were first asked for.
  [[nodiscard]] const std::vector<MissingData>& missing() const { return missing_; }

  [[nodiscard]] const ResolvedTrain& train(std::int32_t index) const { return trains_[index]; }
  [[nodiscard]] const ResolvedData& data(std::int32_t index) const { return datas_[index]; }
  [[nodiscard]] const ResolvedModel& model(std::int32_t index) const { return models_[index]; }
  [[nodiscard]] const ResolvedLaunch& launch(std::int32_t index) const { return launches_[index]; }

 private:
  /// One section whose options are known beforehand: its settings are read once, wherever they stand.
  struct Section {
    Section(const Sweep& sweep, const std::string& name, int file, Options& prototype, Diagnostics& diagnostics);
    bool fill(CellIndex cell, Options& options, std::vector<const Setting*>& sources, Diagnostics& diagnostics) const;
    [[nodiscard]] const Setting* source(const std::vector<const Setting*>& sources, std::string_view field) const;

    SectionScope scope;
    OptionSchema schema;
    std::string owner;
    Position place;
    std::unordered_map<const Setting*, ReadSetting> read;
  };

  std::optional<ResolvedTrain> resolve_train(CellIndex cell);
  std::optional<ResolvedData> resolve_data(CellIndex cell);
  std::optional<ResolvedModel> resolve_model(CellIndex cell, const ResolvedData& data);
  std::optional<ResolvedLaunch> resolve_launch(CellIndex cell);
  std::optional<PlannedCorpus> find_corpus(const std::string& path, const std::string& pin, Position place,
                                           Position pin_place);
  /// What lies at a path below the data root; read once.
  struct FoundManifest {
    std::optional<Manifest> manifest;
    bool missing = false;  // else, without a manifest, it has a mistake
  };
  const FoundManifest& manifest(const std::string& path, Position place);
  std::optional<std::string> fill_template(const Setting& use, CellIndex cell);
  void note_templates();
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
  std::map<std::string, FoundManifest> manifests_;
  std::vector<MissingData> missing_;
  Resolved<ResolvedTrain> trains_;
  Resolved<ResolvedData> datas_;
  Resolved<ResolvedModel> models_;
  Resolved<ResolvedLaunch> launches_;
  std::set<Position> checked_;  // where check() has complained
};

}  // namespace mestre
