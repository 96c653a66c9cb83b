#include "core/spec/settings.h"

#include <algorithm>
#include <string_view>

namespace mestre {
namespace {

bool is_bare(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-';
  });
}

std::string join(const std::vector<KeyPart>& path) {
  std::string text;
  for (const KeyPart& part : path) {
    if (!text.empty()) text += '.';
    if (is_bare(part.name)) {
      text += part.name;
    } else {
      text.append(1, '"').append(escaped(part.name)).append(1, '"');
    }
  }
  return text;
}

void descend(const TomlEntry& entry, std::vector<KeyPart>& path, std::vector<Setting>& settings) {
  path.push_back({entry.key, entry.where});
  if (entry.value.is(TomlValue::Kind::kTable) && !entry.value.entries.empty()) {
    for (const TomlEntry& child : entry.value.entries) descend(child, path, settings);
  } else {
    const std::string dotted = join(path);
    settings.push_back({path, &entry.value, dotted, dotted});
  }
  path.pop_back();
}

Setting with_last_part(const Setting& setting, std::string_view name) {
  Setting other = setting;
  other.path.back().name = name;
  other.dotted = join(other.path);
  return other;
}

}  // namespace

std::vector<Setting> flatten(const TomlEntry& entry) {
  std::vector<Setting> settings;
  std::vector<KeyPart> path;
  descend(entry, path, settings);
  // A dotted key may belong to a table that began further up.
  std::stable_sort(settings.begin(), settings.end(),
                   [](const Setting& a, const Setting& b) { return a.key_place() < b.key_place(); });
  return settings;
}

void settle_seeds(std::vector<Setting>& settings, Diagnostics& diagnostics) {
  const auto seed = std::find_if(settings.begin(), settings.end(),
                                 [](const Setting& setting) { return setting.dotted == "train.seed"; });
  if (seed == settings.end()) return;
  const Setting both = *seed;
  settings.erase(seed);
  for (const std::string_view name : {"seed_init", "seed_data"}) {
    Setting one = with_last_part(both, name);
    const auto twin = std::find_if(settings.begin(), settings.end(),
                                   [&](const Setting& setting) { return setting.dotted == one.dotted; });
    if (twin != settings.end()) {
      diagnostics.add({.severity = Severity::kError,
                       .where = twin->key_place(),
                       .message = "'" + one.dotted + "' beside 'train.seed', which sets it too",
                       .notes = {"expected either train.seed or one or both of train.seed_init and train.seed_data"},
                       .also = {both.key_place()}});
    } else {
      settings.push_back(std::move(one));
    }
  }
}

void overlay(std::vector<const Setting*>& settings, const Setting& over) {
  const auto same = std::find_if(settings.begin(), settings.end(),
                                 [&](const Setting* other) { return other->dotted == over.dotted; });
  if (same != settings.end()) {
    *same = &over;
  } else {
    settings.push_back(&over);
  }
}

void overlay(std::vector<const Setting*>& settings, const std::vector<Setting>& over) {
  for (const Setting& setting : over) overlay(settings, setting);
}

}  // namespace mestre
