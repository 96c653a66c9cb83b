#include "core/train/device.h"

#include <dlfcn.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/train/job_context.h"

namespace mestre {
namespace {

constexpr std::size_t kAllKinds = 0;  // of an allocator's statistics: small and large blocks together

// "key : value" lines, as the kernel and NVIDIA's driver write them.
std::string value_in(const fs::path& file, const std::string& key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t begin = line.find_first_not_of(" \t", line.find(':') + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

std::string gpu_name() {
  std::error_code missing;
  for (const auto& gpu : fs::directory_iterator("/proc/driver/nvidia/gpus", missing))
    if (std::string model = value_in(gpu.path() / "information", "Model"); !model.empty()) return model;
  return "unknown GPU";
}

// Torch's library for GPUs takes a second to load, which jobs on the CPU should not pay. Where it cannot be loaded no
// GPU is to be seen.
void load_gpu_library() {
  (void)::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
}

}  // namespace

at::Device device_of(const Launch& launch) {
  if (launch.options.gpus == 0) return {at::kCPU};
  if (launch.options.gpus > 1)
    throw Error(ErrorCode::kBadInput,
                fmt::format("launch.json asks for {} GPUs, and this build uses one", launch.options.gpus))
        .hint("expected resources.gpus = 1; a sweep uses several GPUs by running several jobs");
  load_gpu_library();
  if (at::getNumGPUs() == 0) throw JobFailure(Cause::kNode, "launch.json asks for a GPU, and none is to be seen here");
  return {at::kCUDA, 0};
}

at::Tensor host_tensor(at::IntArrayRef shape, at::ScalarType type, at::Device device) {
  return at::empty(shape, at::TensorOptions(type).pinned_memory(!device.is_cpu()));
}

Autocast::Autocast(at::Device device, bool bfloat16) : device_(device.type()), enabled_(bfloat16) {
  if (!enabled_) return;
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::set_autocast_dtype(device_, at::kBFloat16);
}

Autocast::~Autocast() {
  if (!enabled_) return;
  at::autocast::set_autocast_enabled(device_, false);
  at::autocast::clear_cache();
}

double peak_device_memory_bytes(at::Device device) {
  if (device.is_cpu()) return 0;
  return static_cast<double>(at::accelerator::getDeviceStats(device.index()).allocated_bytes[kAllKinds].peak);
}

void restart_peak_device_memory(at::Device device) {
  if (!device.is_cpu()) at::accelerator::resetPeakStats(device.index());
}

void release_cached_memory(at::Device device) {
  if (!device.is_cpu()) at::accelerator::emptyCache();
}

double device_memory_bytes(at::Device device) {
  return static_cast<double>(at::accelerator::getMemoryInfo(device.index()).second);
}

void synchronize(at::Device device) {
  if (!device.is_cpu()) at::accelerator::synchronizeDevice(device.index());
}

std::string name_of_device(at::Device device) {
  if (!device.is_cpu()) return gpu_name();
  const std::string model = value_in("/proc/cpuinfo", "model name");
  return "cpu: " + (model.empty() ? "unknown CPU" : model);
}

}  // namespace mestre
