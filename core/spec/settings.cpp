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

Setting* find_setting(std::vector<Setting>& settings, std::string_view dotted) {
  const auto found =
      std::find_if(settings.begin(), settings.end(), [&](const Setting& setting) { return setting.dotted == dotted; });
  return found == settings.end() ? nullptr : &*found;
}

void settle_budget(std::vector<Setting>& settings, Diagnostics& diagnostics) {
  Setting* steps = find_setting(settings, "train.steps");
  if (steps == nullptr) return;
  if (const Setting* tokens = find_setting(settings, "train.tokens"))
    diagnostics.add({.severity = Severity::kError,
                     .where = steps->key_place(),
                     .message = "'train.steps' beside 'train.tokens', which sets the same budget",
                     .notes = {"expected one of the two; a step reads sequence_length x sequences_per_step tokens"},
                     .also = {tokens->key_place()}});
  steps->dotted = "train.tokens";
}

void settle_seeds(std::vector<Setting>& settings, Diagnostics& diagnostics) {
  const Setting* seed = find_setting(settings, "train.seed");
  if (seed == nullptr) return;
  const Setting both = *seed;
  settings.erase(settings.begin() + (seed - settings.data()));
  for (const std::string_view name : {"seed_init", "seed_data"}) {
    Setting one = with_last_part(both, name);
    if (const Setting* twin = find_setting(settings, one.dotted)) {
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

void settle_spellings(std::vector<Setting>& settings, Diagnostics& diagnostics) {
  settle_seeds(settings, diagnostics);
  settle_budget(settings, diagnostics);
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
