// The fused selective scan on the CPU, without Torch: pointers, sizes and a way to run tasks side by side.
//
// Equation and shapes: selective_scan.h. Rows may be fp32 or bf16, each on its own; everything else is fp32. Nothing is
// checked here and nothing is kept between calls; scratch memory is allocated for the duration of a call
// (std::bad_alloc when there is none). Results do not depend on how `ParallelFor` orders or spreads the tasks. All
// outputs are overwritten, never added to.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "kernels/element.h"

namespace mestre::kernels {

/// Tokens between two saved states; also how many the backward pass recomputes at a time.
constexpr std::int64_t kCheckpointTokens = 32;
constexpr std::int64_t kMaxState = 64;

/// A [batch, length, width] argument whose last dimension is contiguous; strides count elements. No data: the argument
/// is absent.
template <class Void>
struct BasicRows {
  Void* data = nullptr;
  Element element = Element::kFloat32;
  std::int64_t batch_stride = 0;
  std::int64_t token_stride = 0;
};
using ConstRows = BasicRows<const void>;
using Rows = BasicRows<void>;

/// What goes in. Null pointers are absent arguments (A is not optional).
struct ScanInput {
  std::int64_t batch, length, channels, state;  // B, L, E, N; all positive, N <= kMaxState
  ConstRows u, delta, B, C, z;
  const float* A;              // [E, N]
  const float* D;              // [E]
  const float* delta_bias;     // [E]
  const float* initial_state;  // [B, E, N]
  const bool* reset;           // [B, L]
  bool delta_softplus;
};

struct ScanOutput {
  Rows y;
  float* final_state;  // [B, E, N]
  float* checkpoints;  // scan_checkpoint_count(…) floats for scan_backward, laid out for the variant that wrote them;
                       // null: not wanted
};

/// The gradients that arrive. `final_state` may be null: zero.
struct ScanOutputGradient {
  ConstRows y;
  const float* final_state;  // [B, E, N]
};

/// The gradients that leave. Those of absent inputs are null; all others are wanted.
struct ScanInputGradient {
  Rows u, delta, B, C, z;
  float* A;
  float* D;
  float* delta_bias;
  float* initial_state;
};

/// Calls task(0) … task(count - 1), in any order, on any threads, and returns when all are done.
using ParallelFor = std::function<void(std::int64_t count, const std::function<void(std::int64_t)>& task)>;

struct GroupKernels;  // cpu_group.h

/// One compilation of the kernel. Variants differ in rounding (fused multiply-add, order of sums over channels), not in
/// meaning.
struct ScanVariant {
  std::string_view name;        // the instruction set
  const GroupKernels* kernels;  // what it runs
};

/// The variants that this machine can run, fastest first; never empty.
std::span<const ScanVariant> scan_variants();

/// Shape of the checkpoints is [batch, chunks, channels rounded up, state rounded up]; these give the last three.
constexpr std::int64_t scan_chunks(std::int64_t length) {
  return (length + kCheckpointTokens - 1) / kCheckpointTokens;
}
constexpr std::int64_t scan_padded_channels(std::int64_t channels) {
  return (channels + 15) / 16 * 16;
}
constexpr std::int64_t scan_padded_state(std::int64_t state) {
  return (state + 3) / 4 * 4;
}

void scan_forward(const ScanVariant& variant, const ScanInput& input, const ScanOutput& output,
                  const ParallelFor& parallel_for);

/// `checkpoints` were written by scan_forward with the same variant and the same input.
void scan_backward(const ScanVariant& variant, const ScanInput& input, const ScanOutputGradient& output_gradient,
                   const float* checkpoints, const ScanInputGradient& gradient, const ParallelFor& parallel_for);

}  // namespace mestre::kernels
