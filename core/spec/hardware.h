// What GPUs can do at best, and which part of it training gets: for estimates where nothing was measured.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace mestre {

/// One kind of GPU, by its maker's data sheet.
struct Gpu {
  std::string_view name;                       // as `resources.gpu` names it
  double bfloat16_flops = 0;                   // FLOP/s of dense matrix products, fp32 accumulation
  double float32_flops = 0;                    // FLOP/s outside the tensor cores
  double memory_bytes = 0;                     // as the driver reports it
  std::array<std::string_view, 2> words = {};  // of the driver's name for it
};

/// nullptr where the table does not have it.
[[nodiscard]] const Gpu* find_gpu(std::string_view name);
/// By what the driver calls it: "NVIDIA A100-SXM4-80GB".
[[nodiscard]] const Gpu* find_gpu_of_driver(std::string_view name);
[[nodiscard]] std::vector<std::string_view> gpu_names();

/// FLOP/s that one job is assumed to reach: what is expected, and what it may as well turn out to be.
struct AssumedSpeed {
  double low = 0;
  double expected = 0;
  double high = 0;
  friend bool operator==(const AssumedSpeed&, const AssumedSpeed&) = default;
};

/// Of one CPU thread.
[[nodiscard]] AssumedSpeed assumed_thread_speed();
/// Of one GPU; `name` may be empty, which assumes as little as that says. `bfloat16`: matrix products run in bf16.
[[nodiscard]] AssumedSpeed assumed_gpu_speed(std::string_view name, bool bfloat16);

/// Memory of a GPU that a process has used before it holds a tensor: the driver's context, loaded kernels, and the
/// workspaces of cuBLAS and cuDNN. Stated, not measured for each driver: 0.5 to 1 GB are common.
inline constexpr double kCudaContextBytes = 800e6;

}  // namespace mestre
