// A TOML file as a tree of values with their places, in the order of the file. The parser behind it is seen by no one
// else.
//
// Values refer to their file by its index in Diagnostics, which owns the text. A tree is immutable once parsed; copies
// are deep.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/diagnostics.h"
#include "core/base/files.h"

namespace mestre {

struct TomlEntry;

struct TomlValue {
  enum class Kind { kBool, kInteger, kFloat, kText, kDate, kList, kTable };
  Kind kind = Kind::kTable;
  Position where;  // of the value; of a table, its header or its key
  bool boolean = false;
  std::int64_t integer = 0;
  double number = 0;
  std::string text;
  std::vector<TomlValue> elements;  // of a list
  std::vector<TomlEntry> entries;   // of a table, in the order of the file

  [[nodiscard]] bool is(Kind other) const { return kind == other; }
  /// The value under `key`; nullptr where there is none.
  [[nodiscard]] const TomlEntry* find(std::string_view key) const;
};

struct TomlEntry {
  std::string key;
  Position where;  // of the key
  TomlValue value;
};

/// "text", "a whole number", "a list" …: the kind of a value in messages.
[[nodiscard]] std::string_view name_of(TomlValue::Kind kind);
/// The value as one would write it, shortened, for messages: 'abc', 12, [1, 2].
[[nodiscard]] std::string shown(const TomlValue& value);

/// Reads a file and registers it with `diagnostics` under `name`. Returns its index.
/// Throws Error: not_found, or bad_input where it is a folder or larger than 16 MiB.
[[nodiscard]] int load_file(const fs::path& path, const std::string& name, Diagnostics& diagnostics);

/// Parses a registered file. Nothing where it is not TOML: then exactly one error was reported.
[[nodiscard]] std::optional<TomlValue> parse_toml(int file, Diagnostics& diagnostics);

}  // namespace mestre
