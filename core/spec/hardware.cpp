#include "core/spec/hardware.h"

#include <algorithm>
#include <array>
#include <set>

namespace mestre {
namespace {

constexpr double kTera = 1e12;
constexpr double kMebibyte = 1024.0 * 1024.0;

// Dense peaks from NVIDIA's data sheets (A100 2021, H100 and H200 2024, HGX B200 2025, L40S 2023, Ada 2022; where a
// sheet gives the figure with sparsity, half of it); memory as nvidia-smi reports it.
constexpr std::array<Gpu, 8> kGpus = {{
    {.name = "A100-40",
     .bfloat16_flops = 312 * kTera,
     .float32_flops = 19.5 * kTera,
     .memory_bytes = 40960 * kMebibyte,
     .words = {"A100", "40GB"}},
    {.name = "A100-80",
     .bfloat16_flops = 312 * kTera,
     .float32_flops = 19.5 * kTera,
     .memory_bytes = 81920 * kMebibyte,
     .words = {"A100", "80GB"}},
    {.name = "B200",
     .bfloat16_flops = 2250 * kTera,
     .float32_flops = 75 * kTera,
     .memory_bytes = 183359 * kMebibyte,
     .words = {"B200"}},
    {.name = "H100",
     .bfloat16_flops = 989 * kTera,
     .float32_flops = 67 * kTera,
     .memory_bytes = 81559 * kMebibyte,
     .words = {"H100", "HBM3"}},
    {.name = "H100-PCIe",
     .bfloat16_flops = 756 * kTera,
     .float32_flops = 51 * kTera,
     .memory_bytes = 81559 * kMebibyte,
     .words = {"H100", "PCIe"}},
    {.name = "H200",
     .bfloat16_flops = 989 * kTera,
     .float32_flops = 67 * kTera,
     .memory_bytes = 143771 * kMebibyte,
     .words = {"H200"}},
    {.name = "L40S",
     .bfloat16_flops = 362 * kTera,
     .float32_flops = 91.6 * kTera,
     .memory_bytes = 46068 * kMebibyte,
     .words = {"L40S"}},
    {.name = "RTX-4090",
     .bfloat16_flops = 165 * kTera,
     .float32_flops = 82.6 * kTera,
     .memory_bytes = 24564 * kMebibyte,
     .words = {"RTX", "4090"}},
}};

// The share of the peak that training reaches, counting what a model must compute. Samba 421M on one H200 has been
// trained at 130,600 tokens/s, 38 % of its peak; plain PyTorch and small models stay far below, the best kernels
// somewhat above.
constexpr AssumedSpeed kShareOfPeak = {.low = 0.15, .expected = 0.33, .high = 0.55};

// One thread: 138 GFLOP/s were measured with AVX-512 and the fused passes (the quickstart's models, 24,120 tokens/s x 3
// x 1.91 MFLOP), about 60 are usual, and a machine with AVX2 that is shared gives 20.
constexpr AssumedSpeed kThread = {.low = 20e9, .expected = 60e9, .high = 140e9};

// Any GPU that somebody would train on: from a low share of an A100's peak to a high one of an H200's; in fp32 by the
// same two.
constexpr AssumedSpeed kAnyGpuInBfloat16 = {.low = 45e12, .expected = 160e12, .high = 550e12};
constexpr AssumedSpeed kAnyGpuInFloat32 = {.low = 3e12, .expected = 10e12, .high = 37e12};

}  // namespace

const Gpu* find_gpu(std::string_view name) {
  const auto* found = std::find_if(kGpus.begin(), kGpus.end(), [&](const Gpu& gpu) { return gpu.name == name; });
  return found == kGpus.end() ? nullptr : found;
}

const Gpu* find_gpu_of_driver(std::string_view name) {
  std::set<std::string_view> words;
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t end = std::min(name.find_first_of(" -", at), name.size());
    words.insert(name.substr(at, end - at));
    at = end + 1;
  }
  const auto* found = std::find_if(kGpus.begin(), kGpus.end(), [&](const Gpu& gpu) {
    return std::all_of(gpu.words.begin(), gpu.words.end(),
                       [&](std::string_view word) { return word.empty() || words.contains(word); });
  });
  return found == kGpus.end() ? nullptr : found;
}

std::vector<std::string_view> gpu_names() {
  std::vector<std::string_view> names;
  for (const Gpu& gpu : kGpus) names.push_back(gpu.name);
  return names;
}

AssumedSpeed assumed_thread_speed() {
  return kThread;
}

AssumedSpeed assumed_gpu_speed(std::string_view name, bool bfloat16) {
  const Gpu* gpu = find_gpu(name);
  if (gpu == nullptr) return bfloat16 ? kAnyGpuInBfloat16 : kAnyGpuInFloat32;
  const double peak = bfloat16 ? gpu->bfloat16_flops : gpu->float32_flops;
  return {.low = kShareOfPeak.low * peak, .expected = kShareOfPeak.expected * peak, .high = kShareOfPeak.high * peak};
}

}  // namespace mestre
