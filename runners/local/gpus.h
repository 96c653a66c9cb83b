// The GPUs of this machine, and which jobs share them.
//
// A GPU is named by its UUID, which means the same in nvidia-smi, in CUDA_VISIBLE_DEVICES and after a reboot; numbers
// do not. Plain values; a GpuPool belongs to one thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mestre {

struct InstalledGpu {
  std::string uuid;          // "GPU-8c1b…"
  std::string name;          // "NVIDIA H200"
  double memory_bytes = 0;   // 0: the driver does not say
  bool one_process = false;  // its compute mode admits one process at a time
};

/// What nvidia-smi is asked for: --query-gpu=…, with --format=csv,noheader,nounits.
inline constexpr std::string_view kGpuColumns = "uuid,name,memory.total,compute_mode";

/// The answer of nvidia-smi. GPUs that admit no process are left out. Throws Error (environment) where it is no such
/// list.
[[nodiscard]] std::vector<InstalledGpu> read_gpus(std::string_view listing);

/// Those that CUDA_VISIBLE_DEVICES leaves, in its order, with its rule: what follows the first unknown name is hidden.
/// Numbers count as nvidia-smi lists (CUDA's order with CUDA_DEVICE_ORDER=PCI_BUS_ID, and wherever all GPUs are alike).
[[nodiscard]] std::vector<InstalledGpu> visible_gpus(const std::vector<InstalledGpu>& gpus, std::string_view variable);

/// GPUs that one job has.
struct GpuShare {
  std::vector<std::size_t> gpus;  // positions in the pool; empty: the job has none
  double memory_bytes = 0;        // of each; 0: it has them to itself
};

class GpuPool {
 public:
  /// At most `jobs_per_gpu` jobs share a GPU; 0: as many as its memory holds.
  explicit GpuPool(std::vector<InstalledGpu> gpus = {}, int jobs_per_gpu = 0);

  [[nodiscard]] std::size_t size() const { return gpus_.size(); }
  /// "2 GPUs (NVIDIA H200)", "none that nvidia-smi lists".
  [[nodiscard]] std::string description() const;

  /// The GPUs that a job could have now, the least shared first; nothing where it has to wait. A job of several GPUs,
  /// or with `memory_bytes` 0, gets them to itself, and so does one that is larger than any of them: whether it fits
  /// after all it finds out itself.
  [[nodiscard]] std::optional<GpuShare> find(int gpus, double memory_bytes) const;
  /// Of GPUs named by CUDA_VISIBLE_DEVICES as a worker has it; those of others are no concern of the pool.
  [[nodiscard]] GpuShare named(std::string_view variable, double memory_bytes) const;
  void take(const GpuShare& share);
  void give_back(const GpuShare& share);

  /// How many such jobs run at a time where nothing else runs; 0: not even one.
  [[nodiscard]] int jobs_at_a_time(int gpus, double memory_bytes) const;
  /// CUDA_VISIBLE_DEVICES of a job with this share.
  [[nodiscard]] std::string variable(const GpuShare& share) const;

 private:
  struct Slot {
    InstalledGpu gpu;
    int most = 0;        // jobs
    int jobs = 0;        // that have a share now
    double claimed = 0;  // bytes; infinite while a job has it to itself
  };
  [[nodiscard]] static bool has_room(const Slot& slot, double memory_bytes);
  [[nodiscard]] double share_of(int gpus, double memory_bytes) const;

  std::vector<Slot> gpus_;
};

}  // namespace mestre
