#include "core/model/rotation.h"

#include <algorithm>

#include <ATen/ATen.h>

namespace mestre {

Rotation::Angles Rotation::angles(std::int64_t first, std::int64_t length, const at::Tensor& like) {
  const at::ScalarType type = like.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const bool fits = all_.cosines.defined() && all_.cosines.size(0) >= first + length &&
                    all_.cosines.scalar_type() == type && all_.cosines.device() == like.device();
  if (!fits) {
    const std::int64_t before = all_.cosines.defined() ? all_.cosines.size(0) : 0;
    // Decoding asks for one position more each time.
    const std::int64_t positions = first > 0 ? std::max(first + length, 2 * before) : length;
    const at::Tensor pair = at::arange(size_ / 2, at::kDouble);
    const at::Tensor frequency = at::pow(base_, pair * (-2.0 / static_cast<double>(size_)));
    const at::Tensor angle = at::arange(positions, at::kDouble).unsqueeze(1) * frequency;
    const auto options = like.options().dtype(type);
    all_ = {.cosines = angle.cos().to(options), .sines = angle.sin().to(options)};
  }
  return {.cosines = all_.cosines.narrow(0, first, length), .sines = all_.sines.narrow(0, first, length)};
}

}  // namespace mestre
