// Keys and values of the tokens that later queries can see.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace mestre {

/// In order, in buffers that are moved only when they are full, so that a token costs its own keys and values. With a
/// window it never holds more than a few windows. Not thread-safe.
class KeyValueCache {
 public:
  /// Of queries that see `window` keys, themselves included; 0: all.
  explicit KeyValueCache(std::int64_t window) : window_(window) {}

  struct Visible {
    at::Tensor keys, values;  // [B, S, g, p], valid until the next append
  };
  /// Adds k, v [B, L, g, p]; all that the queries of the same L tokens may see, these tokens last. Where gradients are
  /// recorded they flow to what was appended before.
  [[nodiscard]] Visible append(const at::Tensor& k, const at::Tensor& v);

 private:
  void make_room(const at::Tensor& k, const at::Tensor& v);

  std::int64_t window_;
  std::int64_t first_ = 0, count_ = 0;  // what is held, as rows of the buffers
  at::Tensor keys_, values_;            // [B, capacity, g, p]
};

}  // namespace mestre
