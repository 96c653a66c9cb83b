#include "core/spec/extends.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/base/error.h"

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

TomlEntry* find_entry(TomlValue& table, std::string_view key) {
  const auto found = std::find_if(table.entries.begin(), table.entries.end(),
                                  [&](const TomlEntry& entry) { return entry.key == key; });
  return found == table.entries.end() ? nullptr : &*found;
}

void erase_entry(TomlValue& table, std::string_view key) {
  std::erase_if(table.entries, [&](const TomlEntry& entry) { return entry.key == key; });
}

// Options of the parent that an option of the child says anew under another name. Half a seed stays.
void drop_rivals(TomlValue& base, const std::string& section, const std::string& key) {
  if (section == "data" && (key == "train" || key == "validation")) erase_entry(base, key + "_digest");
  if (section != "train") return;
  if (key == "steps") erase_entry(base, "tokens");
  if (key == "tokens") erase_entry(base, "steps");
  if (key == "seed") {
    erase_entry(base, "seed_init");
    erase_entry(base, "seed_data");
  }
  if (key == "seed_init" || key == "seed_data")
    if (TomlEntry* both = find_entry(base, "seed")) both->key = key == "seed_init" ? "seed_data" : "seed_init";
}

void merge_table(TomlValue& base, const TomlValue& over, const std::string& section, bool deep = true) {
  base.where = over.where;
  for (const TomlEntry& entry : over.entries) drop_rivals(base, section, entry.key);
  for (const TomlEntry& entry : over.entries) {
    TomlEntry* old = find_entry(base, entry.key);
    if (old == nullptr) {
      base.entries.push_back(entry);
    } else if (deep && old->value.is(Kind::kTable) && entry.value.is(Kind::kTable)) {
      merge_table(old->value, entry.value, "");
    } else {
      *old = entry;
    }
  }
}

// The key that names an axis where it has no name: the last part of its first.
std::string first_key(const TomlValue& table) {
  static constexpr std::array<std::string_view, 4> kWords = {"name", "where", "cell", "labels"};
  for (const TomlEntry& entry : table.entries) {
    if (std::find(kWords.begin(), kWords.end(), entry.key) != kWords.end()) continue;
    const TomlEntry* at = &entry;
    while (at->value.is(Kind::kTable) && !at->value.entries.empty()) at = &at->value.entries.front();
    return at->key;
  }
  return "";
}

// What an element of [[axis]], [[evaluate]], [[measure]] or [[stage]] is called; empty where it has no name.
std::string name_of_element(const std::string& part, const TomlValue& table) {
  const TomlEntry* name = table.find("name");
  if (name == nullptr && part == "measure") name = table.find("quantity");
  if (name != nullptr) return name->value.text;
  return part == "axis" ? first_key(table) : "";
}

void merge_list(TomlValue& base, const TomlValue& over, const std::string& part) {
  const bool by_name = part == "axis" || part == "evaluate" || part == "measure" || part == "stage";
  const std::size_t inherited = base.elements.size();
  for (const TomlValue& element : over.elements) {
    const std::string name = by_name ? name_of_element(part, element) : "";
    const auto end = base.elements.begin() + static_cast<std::ptrdiff_t>(inherited);
    const auto same = std::find_if(base.elements.begin(), end, [&](const TomlValue& other) {
      return !name.empty() && name_of_element(part, other) == name;
    });
    if (same != end) {
      *same = element;
    } else {
      base.elements.push_back(element);
    }
  }
}

void merge(TomlValue& base, const TomlValue& over) {
  base.where = over.where;
  for (const TomlEntry& entry : over.entries) {
    TomlEntry* old = find_entry(base, entry.key);
    if (old == nullptr) {
      base.entries.push_back(entry);
    } else if (old->value.is(Kind::kTable) && entry.value.is(Kind::kTable)) {
      old->where = entry.where;
      merge_table(old->value, entry.value, entry.key, entry.key != "sweep");
    } else if (old->value.is(Kind::kList) && entry.value.is(Kind::kList)) {
      merge_list(old->value, entry.value, entry.key);
    } else {
      *old = entry;
    }
  }
}

class Chain {
 public:
  Chain(std::vector<int>& files, Diagnostics& diagnostics) : files_(files), diagnostics_(diagnostics) {}

  std::optional<TomlValue> parse(int file) {
    files_.push_back(file);
    paths_.push_back(fs::weakly_canonical(diagnostics_.file_name(file)));
    std::optional<TomlValue> root = parse_toml(file, diagnostics_);
    if (!root) return std::nullopt;
    const TomlEntry* extends = root->find("extends");
    if (extends == nullptr) return root;
    const TomlEntry named = *extends;
    erase_entry(*root, "extends");
    const std::optional<int> parent = open(named.value);
    if (!parent) return std::nullopt;
    std::optional<TomlValue> base = parse(*parent);
    if (!base) return std::nullopt;
    const TomlEntry* sweep = root->find("sweep");
    const TomlEntry* inherited = base->find("sweep");
    if (inherited != nullptr && inherited->value.find("name") != nullptr &&
        (sweep == nullptr || sweep->value.find("name") == nullptr))
      diagnostics_.error(named.value.where, "a sweep that extends another needs a name of its own",
                         {"expected [sweep] with a name in this file; it names the folder of the results"});
    merge(*base, *root);
    return base;
  }

 private:
  std::optional<int> open(const TomlValue& named) {
    if (!named.is(Kind::kText) || named.text.empty()) {
      diagnostics_.error(named.where, fmt::format("extends cannot be {}", shown(named)),
                         {"expected the path of another sweep, relative to this file"});
      return std::nullopt;
    }
    const fs::path path =
        (fs::path(diagnostics_.file_name(files_.back())).parent_path() / named.text).lexically_normal();
    std::error_code ignored;
    const auto seen = std::find(paths_.begin(), paths_.end(), fs::weakly_canonical(path, ignored));
    if (seen != paths_.end()) {
      std::string chain;
      for (auto at = static_cast<std::size_t>(seen - paths_.begin()); at < files_.size(); ++at)
        chain += escaped(diagnostics_.file_name(files_[at])) + " extends ";
      diagnostics_.error(named.where, "a sweep cannot extend itself", {chain + escaped(path.generic_string())});
      return std::nullopt;
    }
    try {
      return load_file(path, path.generic_string(), diagnostics_);
    } catch (const Error& problem) {
      std::vector<std::string> notes = problem.hints();
      notes.emplace_back("the path is relative to the file that extends");
      diagnostics_.error(named.where, problem.message(), std::move(notes));
      return std::nullopt;
    }
  }

  std::vector<int>& files_;
  Diagnostics& diagnostics_;
  std::vector<fs::path> paths_;
};

}  // namespace

std::optional<TomlValue> parse_with_parents(int file, std::vector<int>& files, Diagnostics& diagnostics) {
  return Chain(files, diagnostics).parse(file);
}

}  // namespace mestre
