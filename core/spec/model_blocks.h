// [model.blocks]: the layers of single blocks, in place of the pattern's.
//
//   [model]
//   layers = ["mamba", "mlp"]
//   repeat = 12
//   [model.blocks]
//   11 = ["attention", "mlp"]
//
// A block is replaced by as many layers as it has. The model that results has its layers written out.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/spec/model.h"
#include "core/spec/settings.h"

namespace mestre {

/// Reports a mistake and, on lines of their own, what was expected.
using ReportMistake = std::function<void(Position, std::string, std::vector<std::string>)>;

/// What one key of [model.blocks] says.
struct BlockSetting {
  std::int64_t block = 0;
  std::vector<std::string> layers;
  std::vector<Position> places;  // of the layers
  const Setting* setting = nullptr;
};

/// Whether the setting stands in [model.blocks], or is that table itself, empty or of another type.
[[nodiscard]] bool is_block_setting(const Setting& setting);

/// Reads model.blocks.<index> = ["…", …]. Nothing where something is wrong, which is reported.
[[nodiscard]] std::optional<BlockSetting> read_block_setting(const Setting& setting, const ReportMistake& report);

/// Puts the blocks into `model`, whose layers are then written out, with repeat = 1. `places` has one place for each of
/// model.layers, before and after. False where a block is not there or has another length, which is reported; the
/// others are put in all the same.
bool replace_blocks(const std::vector<BlockSetting>& blocks, ModelOptions& model, std::vector<Position>& places,
                    const ReportMistake& report);

}  // namespace mestre
