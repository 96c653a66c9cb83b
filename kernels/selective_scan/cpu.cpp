// Spreads the scan over tasks and adds up what tasks share, always in the same order.
#include "kernels/selective_scan/cpu.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#include "kernels/selective_scan/cpu_group.h"

namespace mestre::kernels {
namespace {

constexpr std::align_val_t kAlignment{64};

struct FreeScratch {
  void operator()(std::byte* memory) const { ::operator delete(memory, kAlignment); }
};
using Scratch = std::unique_ptr<std::byte, FreeScratch>;

Scratch make_scratch(std::size_t bytes) {
  return Scratch(static_cast<std::byte*>(::operator new(bytes, kAlignment)));
}

std::vector<ScanVariant> find_variants() {
  std::vector<ScanVariant> found;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")) {
    found.push_back({"avx512", &avx512::kKernels});
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back({"avx2", &avx2::kKernels});
#endif
  found.push_back({"sse2", &sse2::kKernels});
  return found;
}

/// Room for the parts of a gradient of `size` numbers; add_parts adds them in the order of their index.
class Parts {
 public:
  Parts(std::int64_t count, std::int64_t size) : count_(count), size_(size), values_(new float[count * size]) {}

  float* part(std::int64_t index) { return values_.get() + index * size_; }

  /// Sum over all parts of the numbers begin … end - 1, into the first part.
  const float* add_parts(std::int64_t begin, std::int64_t end) {
    float* total = values_.get();
    for (std::int64_t p = 1; p < count_; ++p) {
      const float* other = part(p);
      for (std::int64_t i = begin; i < end; ++i) total[i] += other[i];
    }
    return total;
  }

 private:
  std::int64_t count_, size_;
  std::unique_ptr<float[]> values_;
};

std::uint16_t to_bfloat16(float value) {
  if (value != value) return 0x7fc0;
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

void store_tokens(const ScanInput& in, const float* from, const Rows& to, std::int64_t sequence, std::int64_t begin,
                  std::int64_t end) {
  for (std::int64_t t = begin; t < end; ++t) {
    const std::int64_t at = sequence * to.batch_stride + t * to.token_stride;
    for (std::int64_t n = 0; n < in.state; ++n) {
      const float value = from[(sequence * in.length + t) * in.state + n];
      if (to.element == Element::kFloat32) {
        static_cast<float*>(to.data)[at + n] = value;
      } else {
        static_cast<std::uint16_t*>(to.data)[at + n] = to_bfloat16(value);
      }
    }
  }
}

void copy_total(Parts& parts, std::int64_t size, float* to) {
  if (!to) return;
  const float* total = parts.add_parts(0, size);
  std::copy(total, total + size, to);
}

}  // namespace

std::span<const ScanVariant> scan_variants() {
  static const std::vector<ScanVariant> variants = find_variants();
  return variants;
}

void scan_forward(const ScanVariant& variant, const ScanInput& in, const ScanOutput& out,
                  const ParallelFor& parallel_for) {
  const std::int64_t groups = scan_groups(in.channels);
  parallel_for(in.batch * groups, [&](std::int64_t task) {
    const Scratch scratch = make_scratch(variant.kernels->forward_scratch);
    variant.kernels->forward(in, out, task / groups, task % groups, scratch.get());
  });
}

void scan_backward(const ScanVariant& variant, const ScanInput& in, const ScanOutputGradient& out_gradient,
                   const float* checkpoints, const ScanInputGradient& gradient, const ParallelFor& parallel_for) {
  const std::int64_t groups = scan_groups(in.channels), rows = in.length * in.state;
  // Of A, D and delta_bias a part per sequence; of B and C a part per group of channels.
  Parts A(in.batch, in.channels * in.state), D(in.batch, in.channels), bias(in.batch, in.channels);
  Parts B(groups, in.batch * rows), C(groups, in.batch * rows);

  parallel_for(in.batch * groups, [&](std::int64_t task) {
    const std::int64_t sequence = task / groups, group = task % groups;
    const Scratch scratch = make_scratch(variant.kernels->backward_scratch);
    const GroupPartials partials = {A.part(sequence), gradient.D ? D.part(sequence) : nullptr,
                                    gradient.delta_bias ? bias.part(sequence) : nullptr,
                                    B.part(group) + sequence * rows, C.part(group) + sequence * rows};
    variant.kernels->backward(in, out_gradient, checkpoints, gradient, partials, sequence, group, scratch.get());
  });

  copy_total(A, in.channels * in.state, gradient.A);
  copy_total(D, in.channels, gradient.D);
  copy_total(bias, in.channels, gradient.delta_bias);
  const std::int64_t chunks = scan_chunks(in.length);
  parallel_for(in.batch * chunks, [&](std::int64_t task) {
    const std::int64_t sequence = task / chunks, begin = task % chunks * kCheckpointTokens;
    const std::int64_t end = std::min(in.length, begin + kCheckpointTokens);
    const std::int64_t first = sequence * rows + begin * in.state, last = sequence * rows + end * in.state;
    store_tokens(in, B.add_parts(first, last), gradient.B, sequence, begin, end);
    store_tokens(in, C.add_parts(first, last), gradient.C, sequence, begin, end);
  });
}

}  // namespace mestre::kernels
