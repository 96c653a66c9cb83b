// Options that describe themselves.
//
// An options struct names each of its fields once, in describe(): name, default, range, unit, one line of
// documentation. Reading TOML, reading job.json, writing canonical JSON, diagnostics, `mestre catalog` and the
// reference pages are visitors over that one description.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/units.h"

namespace mestre {

/// What is known of a field besides its value. Aggregates are written with designated initialisers where the field is
/// described.
struct Field {
  std::string_view name;
  std::string_view doc;  // one line, lower case, no full stop
  Unit unit = Unit::kNone;
  double min = -std::numeric_limits<double>::infinity();  // smallest allowed value; for lists, of each element
  double max = std::numeric_limits<double>::infinity();
  bool required = false;                       // must be set in the file
  std::vector<std::string_view> choices = {};  // for text: the allowed values
  std::string_view word = {};                  // for whole numbers: a text that may stand in the place of kWordValue
  /// For an option added after release: the value, as JSON text, that jobs had before it existed. While equal to it,
  /// the option is left out of the canonical spec, so that old results keep their ids. Frozen once given.
  std::optional<std::string_view> legacy = {};
};

/// What a whole number is where its field's word was given ("auto").
inline constexpr std::int64_t kWordValue = -1;

/// One callback per type of field. A visitor that only reads the struct must not write through the reference.
class OptionVisitor {
 public:
  virtual ~OptionVisitor() = default;
  virtual void visit(const Field& field, bool& value) = 0;
  virtual void visit(const Field& field, std::int64_t& value) = 0;
  virtual void visit(const Field& field, double& value) = 0;
  virtual void visit(const Field& field, std::string& value) = 0;
  virtual void visit(const Field& field, std::vector<std::int64_t>& value) = 0;
  virtual void visit(const Field& field, std::vector<std::string>& value) = 0;
};

/// Problems that concern several fields ("heads 5 does not divide width 96"), reported by check() against the field to
/// be mended.
using Problem = std::function<void(std::string_view field, std::string message, std::string expectation)>;

class Options {
 public:
  virtual ~Options() = default;
  /// Visits each field once, always in the same order.
  virtual void describe(OptionVisitor& visitor) = 0;
};

/// Compact JSON object of all fields, keys sorted, numbers in shortest form, legacy values left out: the text that
/// identity hashes.
[[nodiscard]] std::string canonical_json(const Options& options);

/// A JSON object built from pieces that are JSON already; keys come out sorted. Duplicate keys are a bug.
class JsonObject {
 public:
  JsonObject& raw(std::string_view key, std::string json);
  JsonObject& text(std::string_view key, std::string_view value);
  JsonObject& number(std::string_view key, std::int64_t value);
  JsonObject& number(std::string_view key, double value);
  JsonObject& boolean(std::string_view key, bool value);
  [[nodiscard]] std::string str() const;

 private:
  std::vector<std::pair<std::string, std::string>> members_;
};

/// Appends `text` as a JSON string with its quotes; invalid UTF-8 is replaced, so that the result is always valid JSON.
void append_json_string(std::string& out, std::string_view text);
[[nodiscard]] std::string json_string(std::string_view text);
/// A JSON array of strings.
[[nodiscard]] std::string json_texts(const std::vector<std::string>& texts);

}  // namespace mestre
