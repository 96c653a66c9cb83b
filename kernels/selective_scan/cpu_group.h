// What cpu_group.cpp, compiled once per instruction set, offers to cpu.cpp: the scan of one sequence for one group of
// channels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/selective_scan/cpu.h"

namespace mestre::kernels {

/// Channels of one task. A constant, so that sums over channels are taken in the same order for any number of threads.
constexpr std::int64_t kGroupChannels = 128;
constexpr std::int64_t scan_groups(std::int64_t channels) {
  return (channels + kGroupChannels - 1) / kGroupChannels;
}

/// Gradients of what other tasks share, summed over this task's part only: cpu.cpp adds the parts in order.
struct GroupPartials {
  float* A;           // [E, N], of this sequence
  float* D;           // [E], of this sequence; null: not wanted
  float* delta_bias;  // [E], of this sequence; null: not wanted
  float* B;           // [L, N], of this sequence and group
  float* C;           // [L, N], of this sequence and group
};

struct GroupKernels {
  std::size_t forward_scratch, backward_scratch;  // bytes, to be aligned to 64

  void (*forward)(const ScanInput& input, const ScanOutput& output, std::int64_t sequence, std::int64_t group,
                  void* scratch);
  void (*backward)(const ScanInput& input, const ScanOutputGradient& output_gradient, const float* checkpoints,
                   const ScanInputGradient& gradient, const GroupPartials& partials, std::int64_t sequence,
                   std::int64_t group, void* scratch);
};

namespace sse2 {
extern const GroupKernels kKernels;
}
namespace avx2 {
extern const GroupKernels kKernels;
}
namespace avx512 {
extern const GroupKernels kKernels;
}

}  // namespace mestre::kernels
