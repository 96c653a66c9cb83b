// The device that a job computes on, and the precision of its products.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "core/journal/attempt.h"

namespace mestre {

/// The CPU, or the first GPU that the process is shown (CUDA_VISIBLE_DEVICES), where the launch has one. Throws
/// JobFailure (node) where no GPU is to be seen; Error (bad_input) where more than one is asked for.
[[nodiscard]] at::Device device_of(const Launch& launch);

/// An empty tensor in the host's memory from which copies to `device` are fast: pinned for a GPU, so that a copy can be
/// begun and left to itself. A pinned tensor may go while its copy is under way: its memory is not given out before.
[[nodiscard]] at::Tensor host_tensor(at::IntArrayRef shape, at::ScalarType type, at::Device device);

/// While it lives, products on the device run in bf16 if asked for, whatever the type of weights; norms, losses and the
/// residual stream keep fp32. Casts of weights are forgotten at the end, so none outlives an update. Not for nesting.
class Autocast {
 public:
  Autocast(at::Device device, bool bfloat16);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType device_;
  bool enabled_;
};

/// The most memory that tensors took on a GPU, bytes; 0 for the CPU, where the process's own peak says it.
[[nodiscard]] double peak_device_memory_bytes(at::Device device);
/// Peaks begin anew; nothing for the CPU.
void restart_peak_device_memory(at::Device device);
/// Gives back what the allocator keeps of tensors that are gone; nothing for the CPU.
void release_cached_memory(at::Device device);
/// All of a GPU's memory, bytes.
[[nodiscard]] double device_memory_bytes(at::Device device);
/// Waits until the device has done all that was asked of it; nothing for the CPU.
void synchronize(at::Device device);
/// "NVIDIA H200"; "cpu: AMD EPYC …".
[[nodiscard]] std::string name_of_device(at::Device device);

}  // namespace mestre
