// The fields of an options struct as a table: what describe() says of them, and their defaults.
//
// Made once per type of options; reading TOML, `mestre catalog` and diagnostics look into it. Immutable; its texts are
// literals.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/options.h"

namespace mestre {

using OptionValue =
    std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<std::string>>;

struct OptionField {
  Field field;
  OptionValue initial;  // the default, which also says the type

  /// "true or false", "count", "tokens", "number", "text", "list of tokens" …: for the catalogue.
  [[nodiscard]] std::string type() const;
  /// What a reader may write: "a whole number such as 500, \"20K\" or \"4Ki\"", with the range where there is one.
  [[nodiscard]] std::string expectation() const;
  /// "from 1 to 64", "at least 0", "cosine, constant"; empty where everything is allowed.
  [[nodiscard]] std::string range() const;
  /// The default as JSON; empty where the option is required.
  [[nodiscard]] std::string default_json() const;
};

class OptionSchema {
 public:
  explicit OptionSchema(Options& prototype);
  [[nodiscard]] const std::vector<OptionField>& fields() const { return fields_; }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  /// Index of the field; -1 where there is none.
  [[nodiscard]] int find(std::string_view name) const;

 private:
  std::vector<OptionField> fields_;
  std::vector<std::string> names_;
};

/// Sets the fields for which `values` has a value; one pointer per field, nullptr leaves it as it is. The types must be
/// those of the fields.
void assign(Options& options, std::span<const OptionValue* const> values);

}  // namespace mestre
