// The angles of rotary positions (arXiv 2104.09864), by which kernels/rope turns: t base^(-2j/p) for pair j of a head
// of p elements at position t.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace mestre {

/// Cosines and sines of one head size and base, computed in fp64 and kept for the longest sequence so far. Not
/// thread-safe.
class Rotation {
 public:
  Rotation(std::int64_t size, double base) : size_(size), base_(base) {}

  struct Angles {
    at::Tensor cosines, sines;  // [length, size / 2]
  };
  /// Of positions first to first + length - 1, on the device of `like`; fp64 where that is, else fp32: bf16 would blur
  /// far positions.
  [[nodiscard]] Angles angles(std::int64_t first, std::int64_t length, const at::Tensor& like);

 private:
  std::int64_t size_;
  double base_;
  Angles all_;
};

}  // namespace mestre
