#include "core/spec/option_schema.h"

#include <cmath>

#include <fmt/format.h>

namespace mestre {
namespace {

class Collector final : public OptionVisitor {
 public:
  explicit Collector(std::vector<OptionField>& fields) : fields_(fields) {}
  void visit(const Field& field, bool& value) override { fields_.push_back({field, value}); }
  void visit(const Field& field, std::int64_t& value) override { fields_.push_back({field, value}); }
  void visit(const Field& field, double& value) override { fields_.push_back({field, value}); }
  void visit(const Field& field, std::string& value) override { fields_.push_back({field, value}); }
  void visit(const Field& field, std::vector<std::int64_t>& value) override { fields_.push_back({field, value}); }
  void visit(const Field& field, std::vector<std::string>& value) override { fields_.push_back({field, value}); }

 private:
  std::vector<OptionField>& fields_;
};

class Assigner final : public OptionVisitor {
 public:
  explicit Assigner(std::span<const OptionValue* const> values) : values_(values) {}
  void visit(const Field&, bool& value) override { take(value); }
  void visit(const Field&, std::int64_t& value) override { take(value); }
  void visit(const Field&, double& value) override { take(value); }
  void visit(const Field&, std::string& value) override { take(value); }
  void visit(const Field&, std::vector<std::int64_t>& value) override { take(value); }
  void visit(const Field&, std::vector<std::string>& value) override { take(value); }

 private:
  template <class T>
  void take(T& value) {
    if (const OptionValue* given = values_[next_++]) value = std::get<T>(*given);
  }
  std::span<const OptionValue* const> values_;
  std::size_t next_ = 0;
};

std::string bound(double value) {
  return value == std::floor(value) && std::abs(value) <= 1e18 ? std::to_string(static_cast<std::int64_t>(value))
                                                               : shortest(value);
}

std::string range_of(const Field& field) {
  const bool low = std::isfinite(field.min);
  const bool high = std::isfinite(field.max);
  if (low && high) return fmt::format("from {} to {}", bound(field.min), bound(field.max));
  if (low) return fmt::format("at least {}", bound(field.min));
  if (high) return fmt::format("at most {}", bound(field.max));
  return "";
}

bool is_whole(const OptionValue& value) {
  return std::holds_alternative<std::int64_t>(value) || std::holds_alternative<std::vector<std::int64_t>>(value);
}

bool is_list(const OptionValue& value) {
  return std::holds_alternative<std::vector<std::int64_t>>(value) ||
         std::holds_alternative<std::vector<std::string>>(value);
}

}  // namespace

std::string OptionField::type() const {
  if (std::holds_alternative<bool>(initial)) return "true or false";
  if (std::holds_alternative<std::string>(initial)) return "text";
  if (std::holds_alternative<std::vector<std::string>>(initial)) return "list of texts";
  std::string_view one = is_whole(initial) ? "integer" : "number";
  switch (field.unit) {
    case Unit::kNone:
      break;
    case Unit::kCount:
      one = "count";
      break;
    case Unit::kTokens:
      one = "tokens";
      break;
    case Unit::kSeconds:
      one = "time";
      break;
    case Unit::kBytes:
      one = "size";
      break;
    case Unit::kGpuHours:
      one = "GPU-hours";
      break;
  }
  return is_list(initial) ? fmt::format("list of {}", one) : std::string(one);
}

std::string OptionField::expectation() const {
  if (std::holds_alternative<bool>(initial)) return "true or false";
  if (std::holds_alternative<std::string>(initial)) return "text in quotes";
  if (std::holds_alternative<std::vector<std::string>>(initial)) return "a list of texts, such as [\"a\", \"b\"]";
  std::string text(field.unit == Unit::kNone && is_whole(initial) ? "a whole number" : expectation_of(field.unit));
  if (is_list(initial)) text = "a list in brackets, each element " + text;
  const std::string range = range_of(field);
  if (!range.empty()) text += ", " + range;
  return field.word.empty() ? text : fmt::format("{}, or \"{}\"", text, field.word);
}

std::string OptionField::range() const {
  if (!field.choices.empty()) return fmt::format("{}", fmt::join(field.choices, ", "));
  return field.word.empty() ? range_of(field) : fmt::format("{}, or {}", range_of(field), field.word);
}

std::string OptionField::default_json() const {
  if (field.required) return "";
  struct Writer {
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(std::int64_t value) const { return std::to_string(value); }
    std::string operator()(double value) const { return shortest(value); }
    std::string operator()(const std::string& value) const { return json_string(value); }
    std::string operator()(const std::vector<std::int64_t>& values) const {
      return fmt::format("[{}]", fmt::join(values, ","));
    }
    std::string operator()(const std::vector<std::string>& values) const {
      std::string text = "[";
      for (const std::string& value : values) {
        if (text.size() > 1) text += ',';
        append_json_string(text, value);
      }
      return text + "]";
    }
  };
  return std::visit(Writer{}, initial);
}

OptionSchema::OptionSchema(Options& prototype) {
  Collector collector(fields_);
  prototype.describe(collector);
  for (const OptionField& field : fields_) names_.emplace_back(field.field.name);
}

int OptionSchema::find(std::string_view name) const {
  for (std::size_t i = 0; i < names_.size(); ++i)
    if (names_[i] == name) return static_cast<int>(i);
  return -1;
}

void assign(Options& options, std::span<const OptionValue* const> values) {
  Assigner assigner(values);
  options.describe(assigner);
}

}  // namespace mestre
