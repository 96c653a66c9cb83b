#include "runners/local/gpus.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "core/base/error.h"

namespace mestre {
namespace {

constexpr double kMebibyte = 1 << 20;
constexpr double kWhole = std::numeric_limits<double>::infinity();

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(trimmed(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return parts;
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Position of the GPU that CUDA would take for this name: a number, or the beginning of a UUID.
std::optional<std::size_t> position_of(std::span<const InstalledGpu> gpus, std::string_view name) {
  if (const auto number = number_in<std::size_t>(name))
    return *number < gpus.size() ? std::optional(*number) : std::nullopt;
  if (!name.starts_with("GPU-")) return std::nullopt;
  const auto found =
      std::find_if(gpus.begin(), gpus.end(), [&](const InstalledGpu& gpu) { return gpu.uuid.starts_with(name); });
  if (found == gpus.end()) return std::nullopt;
  return static_cast<std::size_t>(found - gpus.begin());
}

}  // namespace

std::vector<InstalledGpu> read_gpus(std::string_view listing) {
  std::vector<InstalledGpu> gpus;
  for (const std::string_view line : split(listing, '\n')) {
    if (line.empty()) continue;
    const std::vector<std::string_view> fields = split(line, ',');
    if (fields.size() != 4 || !fields[0].starts_with("GPU-"))
      throw Error(ErrorCode::kEnvironment, fmt::format("nvidia-smi lists no GPU with '{}'", line))
          .hint("expected uuid, name, memory in MiB, compute mode; does 'nvidia-smi' work?");
    if (fields[3] == "Prohibited") continue;
    gpus.push_back({.uuid = std::string(fields[0]),
                    .name = std::string(fields[1]),
                    .memory_bytes = kMebibyte * static_cast<double>(number_in<std::int64_t>(fields[2]).value_or(0)),
                    .one_process = fields[3].starts_with("Exclusive")});
  }
  return gpus;
}

std::vector<InstalledGpu> visible_gpus(const std::vector<InstalledGpu>& gpus, std::string_view variable) {
  std::vector<InstalledGpu> visible;
  for (const std::string_view name : split(variable, ',')) {
    const auto position = position_of(gpus, name);
    if (!position) break;
    visible.push_back(gpus[*position]);
  }
  return visible;
}

GpuPool::GpuPool(std::vector<InstalledGpu> gpus, int jobs_per_gpu) {
  for (InstalledGpu& gpu : gpus) {
    const int most = gpu.one_process ? 1 : jobs_per_gpu > 0 ? jobs_per_gpu : std::numeric_limits<int>::max();
    gpus_.push_back({.gpu = std::move(gpu), .most = most});
  }
}

std::string GpuPool::description() const {
  if (gpus_.empty()) return "none that nvidia-smi lists";
  return fmt::format("{} GPU{} ({})", size(), size() == 1 ? "" : "s", gpus_.front().gpu.name);
}

bool GpuPool::has_room(const Slot& slot, double memory_bytes) {
  if (slot.jobs == 0) return true;
  return slot.jobs < slot.most && slot.claimed + memory_bytes <= slot.gpu.memory_bytes;
}

double GpuPool::share_of(int gpus, double memory_bytes) const {
  return gpus > 1 || memory_bytes <= 0 ? kWhole : memory_bytes;
}

std::optional<GpuShare> GpuPool::find(int gpus, double memory_bytes) const {
  const double wanted = share_of(gpus, memory_bytes);
  std::vector<std::size_t> free;
  for (std::size_t i = 0; i < gpus_.size(); ++i)
    if (has_room(gpus_[i], wanted)) free.push_back(i);
  if (free.size() < static_cast<std::size_t>(gpus)) return std::nullopt;
  std::stable_sort(free.begin(), free.end(),
                   [&](std::size_t a, std::size_t b) { return gpus_[a].jobs < gpus_[b].jobs; });
  free.resize(static_cast<std::size_t>(gpus));
  return GpuShare{.gpus = std::move(free), .memory_bytes = wanted == kWhole ? 0 : wanted};
}

GpuShare GpuPool::named(std::string_view variable, double memory_bytes) const {
  GpuShare share;
  for (const std::string_view name : split(variable, ','))
    for (std::size_t i = 0; i < gpus_.size(); ++i)
      if (gpus_[i].gpu.uuid == name) share.gpus.push_back(i);
  share.memory_bytes = share.gpus.size() == 1 ? memory_bytes : 0;
  return share;
}

void GpuPool::take(const GpuShare& share) {
  for (const std::size_t i : share.gpus) {
    ++gpus_.at(i).jobs;
    gpus_[i].claimed += share.memory_bytes > 0 ? share.memory_bytes : kWhole;
  }
}

void GpuPool::give_back(const GpuShare& share) {
  for (const std::size_t i : share.gpus) {
    Slot& slot = gpus_.at(i);
    // Infinity less infinity is no number; and a GPU without jobs has exactly nothing claimed.
    slot.claimed = --slot.jobs == 0 ? 0 : slot.claimed - share.memory_bytes;
  }
}

int GpuPool::jobs_at_a_time(int gpus, double memory_bytes) const {
  const double wanted = share_of(gpus, memory_bytes);
  if (wanted == kWhole) return static_cast<int>(size()) / std::max(1, gpus);
  int jobs = 0;
  for (const Slot& slot : gpus_) jobs += std::clamp(static_cast<int>(slot.gpu.memory_bytes / wanted), 1, slot.most);
  return jobs;
}

std::string GpuPool::variable(const GpuShare& share) const {
  std::string names;
  for (const std::size_t i : share.gpus) names += (names.empty() ? "" : ",") + gpus_.at(i).gpu.uuid;
  return names;
}

}  // namespace mestre
