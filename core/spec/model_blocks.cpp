#include "core/spec/model_blocks.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace mestre {
namespace {

using Kind = TomlValue::Kind;

constexpr const char* kExpectedList = "expected the instances of one block, such as [\"attention\", \"mlp\"]";

// "11"; only as a number is written, so that no two keys name one block.
std::optional<std::int64_t> block_index(const std::string& key) {
  std::int64_t index = 0;
  const auto [end, problem] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (problem != std::errc() || std::to_string(index) != key || index < 0) return std::nullopt;
  return index;
}

template <class T>
std::vector<T> repeated(const std::vector<T>& pattern, std::int64_t times) {
  std::vector<T> all;
  all.reserve(pattern.size() * static_cast<std::size_t>(times));
  for (std::int64_t turn = 0; turn < times; ++turn) all.insert(all.end(), pattern.begin(), pattern.end());
  return all;
}

}  // namespace

bool is_block_setting(const Setting& setting) {
  return setting.path[1].name == "blocks";
}

std::optional<BlockSetting> read_block_setting(const Setting& setting, const ReportMistake& report) {
  const TomlValue& value = *setting.value;
  if (setting.path.size() == 2) {
    report(value.where, fmt::format("model.blocks cannot be {}", shown(value)),
           {"expected [model.blocks] with a line for each block, such as 11 = [\"attention\", \"mlp\"]"});
    return std::nullopt;
  }
  const KeyPart& key = setting.path[2];
  BlockSetting block{.setting = &setting};
  if (const std::optional<std::int64_t> index = block_index(key.name)) {
    block.block = *index;
  } else {
    report(key.where, fmt::format("'{}' is no index of a block", escaped(key.name)),
           {"expected a whole number; the first block is 0"});
    return std::nullopt;
  }
  if (setting.path.size() > 3 || !value.is(Kind::kList) || value.elements.empty()) {
    const bool deeper = setting.path.size() > 3;
    report(deeper ? key.where : value.where,
           fmt::format("model.blocks.{} cannot be {}", key.name, deeper ? "a table" : shown(value)), {kExpectedList});
    return std::nullopt;
  }
  for (const TomlValue& layer : value.elements) {
    if (!layer.is(Kind::kText)) {
      report(layer.where, fmt::format("model.blocks.{} cannot hold {}", key.name, shown(layer)), {kExpectedList});
      return std::nullopt;
    }
    block.layers.push_back(layer.text);
    block.places.push_back(layer.where);
  }
  return block;
}

bool replace_blocks(const std::vector<BlockSetting>& blocks, ModelOptions& model, std::vector<Position>& places,
                    const ReportMistake& report) {
  if (blocks.empty()) return true;
  const std::int64_t length = model.block_length();
  const std::int64_t count = model.depth() / length;
  ModelOptions written = model;
  written.layers_per_block = length;
  written.layers = repeated(model.layers, model.repeat);
  written.repeat = 1;
  std::vector<Position> written_places = repeated(places, model.repeat);
  bool sound = true;
  for (const BlockSetting& block : blocks) {
    if (block.block >= count) {
      sound = false;
      report(block.setting->key_place(), fmt::format("there is no block {}", block.block),
             {fmt::format("expected an index from 0 to {}: {} layers are {} blocks of {}", count - 1, model.depth(),
                          count, length)});
    } else if (static_cast<std::int64_t>(block.layers.size()) != length) {
      sound = false;
      report(block.setting->value->where,
             fmt::format("block {} has {} {} here", block.block, block.layers.size(),
                         block.layers.size() == 1 ? "layer" : "layers"),
             {fmt::format("expected {}, as many as the other blocks have (model.layers_per_block)", length)});
    } else {
      const std::int64_t first = block.block * length;
      std::copy(block.layers.begin(), block.layers.end(), written.layers.begin() + first);
      std::copy(block.places.begin(), block.places.end(), written_places.begin() + first);
    }
  }
  model = std::move(written);
  places = std::move(written_places);
  return sound;
}

}  // namespace mestre
