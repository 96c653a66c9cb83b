#include "core/spec/free_model.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "core/base/options.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

// A tree of the dotted keys; a leaf has JSON.
struct Node {
  std::string json;
  std::map<std::string, Node> children;
};

class Writer {
 public:
  explicit Writer(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  std::string write(const TomlValue& value) {
    switch (value.kind) {
      case Kind::kBool:
        return value.boolean ? "true" : "false";
      case Kind::kInteger:
        return std::to_string(value.integer);
      case Kind::kFloat:
        return std::isfinite(value.number) ? shortest(value.number) : refuse(value);
      case Kind::kText:
        return json_string(value.text);
      case Kind::kDate:
        return refuse(value);
      case Kind::kList:
      case Kind::kTable:
        break;
    }
    if (value.is(Kind::kTable)) {
      JsonObject object;
      for (const TomlEntry& entry : value.entries) object.raw(entry.key, write(entry.value));
      return object.str();
    }
    std::string list = "[";
    for (const TomlValue& element : value.elements) list += (list.size() > 1 ? "," : "") + write(element);
    return list + "]";
  }

  static std::string write(const Node& node) {
    if (node.children.empty()) return node.json;
    JsonObject object;
    for (const auto& [key, child] : node.children) object.raw(key, write(child));
    return object.str();
  }

  [[nodiscard]] bool is_sound() const { return sound_; }

 private:
  std::string refuse(const TomlValue& value) {
    sound_ = false;
    diagnostics_.error(value.where, fmt::format("{} cannot be handed to the worker", shown(value)),
                       {"expected text, a finite number, true or false, or lists and tables of these"});
    return "null";
  }

  Diagnostics& diagnostics_;
  bool sound_ = true;
};

}  // namespace

bool is_free_model(const std::vector<const Setting*>& settings) {
  return !settings.empty() && std::none_of(settings.begin(), settings.end(),
                                           [](const Setting* setting) { return setting->dotted == "model.layers"; });
}

std::optional<std::string> free_model_json(const std::vector<const Setting*>& settings, Diagnostics& diagnostics) {
  Writer writer(diagnostics);
  Node root;
  for (const Setting* setting : settings) {
    Node* at = &root;
    for (std::size_t part = 1; part < setting->path.size(); ++part) at = &at->children[setting->path[part].name];
    at->json = writer.write(*setting->value);
  }
  if (!writer.is_sound()) return std::nullopt;
  return "{\"options\":" + Writer::write(root) + "}";
}

}  // namespace mestre
