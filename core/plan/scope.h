// Which axes and overrides decide a part of a cell's settings, so that the part is resolved once for all cells that
// agree on them.
//
// Refers to the Sweep, which outlives it. Immutable once made.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/plan/grid.h"
#include "core/spec/sweep.h"

namespace mestre {

class SectionScope {
 public:
  SectionScope(const Sweep& sweep, std::string section);

  /// Adds the axes of another scope, or one axis, to what decides this one.
  void depend_on(const SectionScope& other);
  void depend_on(std::size_t axis);

  /// Equal for two cells exactly if they agree on every axis of the scope.
  [[nodiscard]] std::uint64_t key(CellIndex cell) const;
  /// What sets options of the section for this cell, each option once: overrides win over axes, axes over the sweep's
  /// tables.
  [[nodiscard]] std::vector<const Setting*> settings(CellIndex cell) const;
  /// Everything that sets options of the section for some cell.
  [[nodiscard]] std::vector<const Setting*> all_settings() const;

 private:
  [[nodiscard]] std::vector<const Setting*> own(const std::vector<Setting>& settings) const;

  struct AxisPart {
    std::size_t axis;
    std::vector<std::vector<const Setting*>> points;
  };
  struct OverridePart {
    const Where* where;
    std::vector<const Setting*> settings;
  };

  const Sweep& sweep_;
  std::string section_;
  std::vector<const Setting*> base_;
  std::vector<AxisPart> axes_;
  std::vector<OverridePart> overrides_;
  std::vector<bool> depends_;  // per axis
};

}  // namespace mestre
