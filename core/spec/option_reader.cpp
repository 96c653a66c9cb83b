#include "core/spec/option_reader.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

// Reads one value for one field; the members are what all messages need.
class Reader {
 public:
  Reader(const OptionField& field, const std::string& name, Diagnostics& diagnostics)
      : field_(field), name_(name), diagnostics_(diagnostics) {}

  std::optional<OptionValue> read(const TomlValue& value) const {
    struct Dispatch {
      const Reader& reader;
      const TomlValue& value;
      std::optional<OptionValue> operator()(bool) const { return reader.boolean(value); }
      std::optional<OptionValue> operator()(std::int64_t) const { return reader.integer(value); }
      std::optional<OptionValue> operator()(double) const { return reader.number(value); }
      std::optional<OptionValue> operator()(const std::string&) const { return reader.text(value); }
      std::optional<OptionValue> operator()(const std::vector<std::int64_t>&) const {
        return reader.list<std::int64_t>(value, &Reader::integer);
      }
      std::optional<OptionValue> operator()(const std::vector<std::string>&) const {
        return reader.list<std::string>(value, &Reader::text);
      }
    };
    return std::visit(Dispatch{*this, value}, field_.initial);
  }

 private:
  std::nullopt_t wrong(const TomlValue& value, std::string message, std::string note) const {
    diagnostics_.error(value.where, std::move(message), {std::move(note)});
    return std::nullopt;
  }

  std::nullopt_t wrong_type(const TomlValue& value) const {
    const bool scalar =
        value.is(Kind::kText) || value.is(Kind::kInteger) || value.is(Kind::kFloat) || value.is(Kind::kBool);
    return wrong(value, fmt::format("{} cannot be {}", name_, scalar ? shown(value) : std::string(name_of(value.kind))),
                 "expected " + field_.expectation());
  }

  [[nodiscard]] bool needs_suffix() const {
    const Unit unit = field_.field.unit;
    return unit == Unit::kSeconds || unit == Unit::kBytes || unit == Unit::kGpuHours;
  }

  template <class T>
  std::optional<T> in_range(const TomlValue& value, T number) const {
    const double low = field_.field.min;
    const double high = field_.field.max;
    const auto as_double = static_cast<double>(number);
    if (as_double >= low && as_double <= high) return number;
    return wrong(value, fmt::format("{} is {}, too {}", name_, shown(value), as_double < low ? "small" : "large"),
                 "expected " + field_.expectation());
  }

  std::optional<bool> boolean(const TomlValue& value) const {
    if (!value.is(Kind::kBool)) return wrong_type(value);
    return value.boolean;
  }

  std::optional<std::int64_t> integer(const TomlValue& value) const {
    if (value.is(Kind::kInteger)) return needs_suffix() ? unit_missing(value) : in_range(value, value.integer);
    if (value.is(Kind::kText) && !field_.field.word.empty() && value.text == field_.field.word) return kWordValue;
    if (!value.is(Kind::kText) || field_.field.unit == Unit::kNone) return wrong_type(value);
    const std::optional<std::int64_t> quantity = parse_integer_quantity(value.text, field_.field.unit);
    if (!quantity) return wrong_type(value);
    return in_range(value, *quantity);
  }

  std::optional<double> number(const TomlValue& value) const {
    if (value.is(Kind::kInteger) || value.is(Kind::kFloat)) {
      if (needs_suffix()) return unit_missing(value);
      const double given = value.is(Kind::kInteger) ? static_cast<double>(value.integer) : value.number;
      if (!std::isfinite(given))
        return wrong(value, fmt::format("{} is not finite", name_), "expected " + field_.expectation());
      return in_range(value, given);
    }
    if (!value.is(Kind::kText) || field_.field.unit == Unit::kNone) return wrong_type(value);
    const std::optional<double> quantity = parse_quantity(value.text, field_.field.unit);
    if (!quantity) return wrong_type(value);
    return in_range(value, *quantity);
  }

  std::nullopt_t unit_missing(const TomlValue& value) const {
    return wrong(value, fmt::format("{} = {} has no unit", name_, shown(value)), "expected " + field_.expectation());
  }

  std::optional<std::string> text(const TomlValue& value) const {
    if (!value.is(Kind::kText)) return wrong_type(value);
    const auto& choices = field_.field.choices;
    if (choices.empty() || std::find(choices.begin(), choices.end(), value.text) != choices.end()) return value.text;
    return wrong(value, fmt::format("unknown {} {}", field_.field.name, shown(value)),
                 expected_one_of(value.text, {choices.begin(), choices.end()}));
  }

  template <class T>
  std::optional<OptionValue> list(const TomlValue& value,
                                  std::optional<T> (Reader::*element)(const TomlValue&) const) const {
    if (!value.is(Kind::kList)) return wrong_type(value);
    if (value.elements.empty() && field_.field.required)
      return wrong(value, fmt::format("{} is an empty list", name_), "expected " + field_.expectation());
    std::vector<T> values;
    bool good = true;
    for (const TomlValue& one : value.elements) {
      std::optional<T> read_one = (this->*element)(one);
      good = good && read_one.has_value();
      if (good) values.push_back(std::move(*read_one));
    }
    if (!good) return std::nullopt;
    return values;
  }

  const OptionField& field_;
  const std::string& name_;
  Diagnostics& diagnostics_;
};

}  // namespace

std::optional<OptionValue> read_option(const OptionField& field, const std::string& name, const TomlValue& value,
                                       Diagnostics& diagnostics) {
  return Reader(field, name, diagnostics).read(value);
}

std::vector<ReadSetting> read_settings(const OptionSchema& schema, const std::vector<const Setting*>& settings,
                                       std::size_t prefix, const std::string& owner, Diagnostics& diagnostics) {
  std::vector<ReadSetting> read;
  for (const Setting* setting : settings) {
    const KeyPart& part = setting->path[prefix];
    const int field = schema.find(part.name);
    if (field < 0) {
      diagnostics.error(part.where, fmt::format("unknown option '{}' in {}", escaped(part.name), owner),
                        {expected_one_of(part.name, schema.names())});
      const int meant = schema.find(nearest(part.name, schema.names()));
      if (meant >= 0) read.push_back({meant, setting, std::nullopt});
      continue;
    }
    const OptionField& known = schema.fields()[static_cast<std::size_t>(field)];
    if (setting->path.size() > prefix + 1) {
      diagnostics.error(
          part.where,
          fmt::format("'{}' is an option, not a table", setting->dotted.substr(0, setting->dotted.rfind('.'))),
          {"expected " + known.expectation()});
      read.push_back({field, setting, std::nullopt});
      continue;
    }
    read.push_back({field, setting, read_option(known, setting->written, *setting->value, diagnostics)});
  }
  return read;
}

bool apply_settings(const OptionSchema& schema, const std::vector<const ReadSetting*>& read, Options& options,
                    std::vector<const Setting*>& sources, const std::string& owner, Position where,
                    Diagnostics& diagnostics, Completeness completeness) {
  const std::size_t count = schema.fields().size();
  std::vector<const OptionValue*> values(count, nullptr);
  sources.assign(count, nullptr);
  bool good = true;
  for (const ReadSetting* one : read) {
    const auto index = static_cast<std::size_t>(one->field);
    good = good && one->value.has_value();
    values[index] = one->value ? &*one->value : nullptr;
    sources[index] = one->setting;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const OptionField& field = schema.fields()[i];
    if (completeness == Completeness::kPartial || !field.field.required || sources[i] != nullptr) continue;
    diagnostics.error(where, fmt::format("{} lacks '{}'", owner, field.field.name),
                      {fmt::format("{}: {}", field.field.name, field.field.doc), "expected " + field.expectation()});
    good = false;
  }
  assign(options, values);
  return good;
}

bool read_table(const std::vector<Setting>& settings, std::size_t prefix, Options& options,
                std::map<std::string, Position, std::less<>>& places, const std::string& owner, Position where,
                Diagnostics& diagnostics) {
  const OptionSchema schema(options);
  std::vector<const Setting*> pointers;
  for (const Setting& setting : settings) pointers.push_back(&setting);
  const std::vector<ReadSetting> read = read_settings(schema, pointers, prefix, owner, diagnostics);
  std::vector<const ReadSetting*> chosen;
  for (const ReadSetting& one : read) chosen.push_back(&one);
  std::vector<const Setting*> sources;
  const bool sound = apply_settings(schema, chosen, options, sources, owner, where, diagnostics);
  for (std::size_t i = 0; i < sources.size(); ++i)
    if (sources[i] != nullptr) places.emplace(schema.names()[i], sources[i]->value->where);
  return sound;
}

}  // namespace mestre
