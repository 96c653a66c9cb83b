// Settings: the keys of a file written out in full, one value each ("model.swa.window" = 128), with the place of every
// part.
//
// A setting refers to its value; the tree that holds the value outlives it.
#pragma once

#include <string>
#include <vector>

#include "core/spec/document.h"

namespace mestre {

struct KeyPart {
  std::string name;
  Position where;
};

struct Setting {
  std::vector<KeyPart> path;
  const TomlValue* value = nullptr;
  /// "model.swa.window"; equal for two settings only if they are the same option. Parts that are not bare keys stand in
  /// quotes.
  std::string dotted;
  /// The key as it stands in the file: train.seed where `dotted` is train.seed_init. For messages.
  std::string written;

  [[nodiscard]] const std::string& section() const { return path.front().name; }
  /// Place of the last part of the key.
  [[nodiscard]] Position key_place() const { return path.back().where; }
};

/// All values below `entry`, in the order of the file. An empty table is a setting itself; tables inside lists are
/// values.
[[nodiscard]] std::vector<Setting> flatten(const TomlEntry& entry);

/// Settles what files may write in two ways, and reports where both stand in one table: train.seed_init and
/// train.seed_data take the place of train.seed; train.steps becomes the option train.tokens (`dotted`), so that it
/// competes with it everywhere.
void settle_spellings(std::vector<Setting>& settings, Diagnostics& diagnostics);

/// Later settings win over earlier ones of the same key.
void overlay(std::vector<const Setting*>& settings, const Setting& over);
void overlay(std::vector<const Setting*>& settings, const std::vector<Setting>& over);

}  // namespace mestre
