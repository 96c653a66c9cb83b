// The types that a fused kernel reads and writes.
#pragma once

namespace mestre::kernels {

enum class Element { kFloat32, kBFloat16 };

}  // namespace mestre::kernels
