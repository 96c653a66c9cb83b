#include "core/base/options.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/utf8.h"

namespace mestre {
namespace {

template <class T, class Append>
std::string json_list(const std::vector<T>& values, Append append) {
  std::string text = "[";
  for (const T& value : values) {
    if (text.size() > 1) text += ',';
    append(text, value);
  }
  return text + "]";
}

class CanonicalWriter final : public OptionVisitor {
 public:
  void visit(const Field& field, bool& value) override { put(field, value ? "true" : "false"); }
  void visit(const Field& field, std::int64_t& value) override { put(field, std::to_string(value)); }
  void visit(const Field& field, double& value) override {
    if (!std::isfinite(value)) throw Error(ErrorCode::kBug, fmt::format("option '{}' is not finite", field.name));
    put(field, shortest(value));
  }
  void visit(const Field& field, std::string& value) override { put(field, json_string(value)); }
  void visit(const Field& field, std::vector<std::int64_t>& value) override {
    put(field, json_list(value, [](std::string& out, std::int64_t element) { out += std::to_string(element); }));
  }
  void visit(const Field& field, std::vector<std::string>& value) override {
    put(field,
        json_list(value, [](std::string& out, const std::string& element) { append_json_string(out, element); }));
  }
  [[nodiscard]] std::string str() const { return object_.str(); }

 private:
  void put(const Field& field, std::string json) {
    if (field.legacy && *field.legacy == json) return;
    object_.raw(field.name, std::move(json));
  }
  JsonObject object_;
};

}  // namespace

std::string canonical_json(const Options& options) {
  CanonicalWriter writer;
  // The writer does not write through the reference (the contract of OptionVisitor).
  const_cast<Options&>(options).describe(writer);
  return writer.str();
}

JsonObject& JsonObject::raw(std::string_view key, std::string json) {
  members_.emplace_back(std::string(key), std::move(json));
  return *this;
}
JsonObject& JsonObject::text(std::string_view key, std::string_view value) {
  return raw(key, json_string(value));
}
JsonObject& JsonObject::number(std::string_view key, std::int64_t value) {
  return raw(key, std::to_string(value));
}
JsonObject& JsonObject::number(std::string_view key, double value) {
  return raw(key, shortest(value));
}
JsonObject& JsonObject::boolean(std::string_view key, bool value) {
  return raw(key, value ? "true" : "false");
}

std::string JsonObject::str() const {
  std::vector<const std::pair<std::string, std::string>*> sorted;
  sorted.reserve(members_.size());
  for (const auto& member : members_) sorted.push_back(&member);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  std::string out = "{";
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i > 0) {
      if (sorted[i - 1]->first == sorted[i]->first)
        throw Error(ErrorCode::kBug, fmt::format("duplicate key '{}' in a JSON object", sorted[i]->first));
      out += ',';
    }
    append_json_string(out, sorted[i]->first);
    out += ':';
    out += sorted[i]->second;
  }
  return out + "}";
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const auto [code_point, length] = first_code_point(text);
    const char first = text.front();
    if (code_point == kInvalidUtf8) {
      out += "\xEF\xBF\xBD";  // U+FFFD
    } else if (first == '"' || first == '\\') {
      out += '\\';
      out += first;
    } else if (first == '\n') {
      out += "\\n";
    } else if (first == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(first) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(first));
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  out += '"';
}

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string json_texts(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ',';
    append_json_string(out, text);
  }
  return out + "]";
}

}  // namespace mestre
