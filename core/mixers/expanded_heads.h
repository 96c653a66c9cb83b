// Heads of linear attention (gla, retention): keys and values have widths of their own, multiples of the model's, which
// the heads share evenly.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/mixers/mixer.h"

namespace mestre {

struct ExpandedHeads {
  std::int64_t heads = 0;
  std::int64_t key_width = 0;    // of all heads together
  std::int64_t value_width = 0;  // the same

  [[nodiscard]] std::int64_t key_size() const { return key_width / heads; }
  [[nodiscard]] std::int64_t value_size() const { return value_width / heads; }
  /// Channels of the queries, keys and values.
  [[nodiscard]] std::int64_t channels() const { return 2 * key_width + value_width; }
  /// Forward operations per token of S_t = a S_{t-1} + k_t^T v_t, o_t = q_t S_t, whatever the length: for each element
  /// of each head's state one for the decay, two for the outer product, two for the output.
  [[nodiscard]] double recurrence_flops() const {
    return 5.0 * static_cast<double>(key_width) * static_cast<double>(value_size());
  }
};

/// The options `heads`, `key_expansion` and `value_expansion`; the expansions are the caller's defaults.
void describe_expanded_heads(OptionVisitor& visitor, std::int64_t& heads, double& key_expansion,
                             double& value_expansion);

/// For options that check_expanded_heads passed.
[[nodiscard]] ExpandedHeads expanded_heads(const ModelShape& shape, std::int64_t heads, double key_expansion,
                                           double value_expansion);

/// Reports an expansion that gives no whole width, and heads that do not divide one. True where all is well.
bool check_expanded_heads(const ModelShape& shape, std::int64_t heads, double key_expansion, double value_expansion,
                          const Problem& problem);

}  // namespace mestre
