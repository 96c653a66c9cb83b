#include "core/train/micro_batch.h"

#include <algorithm>
#include <cmath>

#include <c10/util/Exception.h>

#include "core/train/device.h"
#include "core/train/job_context.h"
#include "core/train/resources.h"

namespace mestre {
namespace {

constexpr double kShareOfGpu = 0.9, kShareOfHost = 0.5;
constexpr double kShrink = 0.9;  // of a micro-batch that did not fit after all

bool fits(std::int64_t sequences, at::Device device, const std::function<void(std::int64_t)>& pass) {
  try {
    pass(sequences);
    return true;
  } catch (const c10::OutOfMemoryError&) {
    release_cached_memory(device);
    return false;
  }
}

double peak_of_pass(std::int64_t sequences, at::Device device, const std::function<void(std::int64_t)>& pass) {
  restart_peak_device_memory(device);
  if (!fits(sequences, device, pass)) return INFINITY;
  return device.is_cpu() ? peak_memory_bytes() : peak_device_memory_bytes(device);
}

double limit_of(at::Device device) {
  if (device.is_cpu()) return peak_memory_bytes() + kShareOfHost * available_memory_bytes();
  return kShareOfGpu * device_memory_bytes(device);
}

}  // namespace

std::int64_t fitting_micro_batch(std::int64_t most, double one, double two, double limit) {
  if (!std::isfinite(two) || two > limit) return 1;
  const double each = two - one;
  if (each <= 0) return most;  // too small to be seen
  const double more = std::floor((limit - one) / each);
  return std::clamp<std::int64_t>(1 + static_cast<std::int64_t>(std::min(more, 1e9)), 1, most);
}

std::int64_t evened_out(std::int64_t sequences, std::int64_t micro_batch) {
  const std::int64_t passes = (sequences + micro_batch - 1) / micro_batch;
  return (sequences + passes - 1) / passes;
}

std::int64_t largest_micro_batch(std::int64_t most, at::Device device, const std::function<void(std::int64_t)>& pass) {
  const double limit = limit_of(device), one = peak_of_pass(1, device, pass);
  if (!std::isfinite(one))
    throw JobFailure(Cause::kOutOfMemoryGpu, "not even a micro-batch of one sequence fits the GPU's memory");
  if (most == 1) return 1;
  std::int64_t size = fitting_micro_batch(most, one, peak_of_pass(2, device, pass), limit);
  while (!device.is_cpu() && size > 2 && !fits(evened_out(most, size), device, pass))
    size = std::max<std::int64_t>(1, static_cast<std::int64_t>(kShrink * static_cast<double>(size)));
  return evened_out(most, size);
}

}  // namespace mestre
