// One section of a sweep whose options are known beforehand: [train], [data] or [resources]. Its settings are read once
// each, wherever they stand; for a cell they are only put together.
//
// Layers: 0 is the cell itself; a stage or a request lays its own settings over the cell's. Refers to the Sweep, which
// outlives it.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/plan/scope.h"
#include "core/spec/option_reader.h"

namespace mestre {

/// Numbers of the layers of a sweep.
[[nodiscard]] inline std::size_t layer_of_stage(std::size_t stage) {
  return 1 + stage;
}
[[nodiscard]] inline std::size_t layer_of_request(const Sweep& sweep, std::size_t request) {
  return 1 + sweep.stages.size() + request;
}

class Section {
 public:
  /// `prototype` is one of the options struct; its mistakes are reported.
  Section(const Sweep& sweep, const std::string& name, int file, Options& prototype, Diagnostics& diagnostics);

  /// Whether the layer has settings of this section; else its values are the cell's.
  [[nodiscard]] bool has_own(std::size_t layer) const { return !layers_[layer].empty(); }
  /// Sets `options` for a cell. False where there was a mistake. `sources`, one per field: who set it.
  bool fill(CellIndex cell, std::size_t layer, Options& options, std::vector<const Setting*>& sources,
            Diagnostics& diagnostics, Completeness completeness = Completeness::kComplete) const;
  [[nodiscard]] const Setting* source(const std::vector<const Setting*>& sources, std::string_view field) const;
  /// Where the field is set, else the header of the section.
  [[nodiscard]] Position place_of(const std::vector<const Setting*>& sources, std::string_view field) const;
  [[nodiscard]] bool is_of_layer(const Setting* setting, std::size_t layer) const;

  [[nodiscard]] SectionScope& scope() { return scope_; }
  [[nodiscard]] const SectionScope& scope() const { return scope_; }
  [[nodiscard]] Position place() const { return place_; }

 private:
  SectionScope scope_;
  OptionSchema schema_;
  std::string owner_;
  Position place_;
  std::vector<std::vector<const Setting*>> layers_;
  std::unordered_map<const Setting*, ReadSetting> read_;
};

}  // namespace mestre
