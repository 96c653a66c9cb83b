#include "core/journal/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/options.h"

namespace mestre {
namespace {

constexpr auto kSyncInterval = std::chrono::seconds(1);
constexpr std::int64_t kLastLine = 4096;           // bytes kept free for the line that says how it ended
constexpr std::int64_t kRoomStep = 2 * kLastLine;  // bytes by which the file's room grows

// JSON has no non-finite numbers; they are strings in the journal.
std::string json_number(double value) {
  if (std::isnan(value)) return "\"nan\"";
  if (std::isinf(value)) return value > 0 ? "\"inf\"" : "\"-inf\"";
  return shortest(value);
}

std::string json_numbers(std::span<const double> values) {
  std::string text = "[";
  for (const double value : values) {
    if (text.size() > 1) text += ',';
    text += json_number(value);
  }
  return text + "]";
}

template <class Pairs>
std::string json_object(const Pairs& pairs) {
  std::string text = "{";
  for (const auto& [name, value] : pairs) {
    if (text.size() > 1) text += ',';
    append_json_string(text, name);
    text += ':';
    text += json_number(value);
  }
  return text + "}";
}

std::string json_axes(std::span<const MeasurementAxis> axes) {
  std::string text = "[";
  for (const MeasurementAxis& axis : axes) {
    if (text.size() > 1) text += ',';
    text += fmt::format(R"({{"name":{},"unit":{},"values":{}}})", json_string(axis.name), json_string(axis.unit),
                        json_numbers(axis.values));
  }
  return text + "]";
}

}  // namespace

std::string_view name_of(Cause cause) {
  switch (cause) {
    case Cause::kOutOfMemoryGpu:
      return "out_of_memory_gpu";
    case Cause::kOutOfMemoryHost:
      return "out_of_memory_host";
    case Cause::kDiverged:
      return "diverged";
    case Cause::kBadInput:
      return "bad_input";
    case Cause::kData:
      return "data";
    case Cause::kDeadline:
      return "deadline";
    case Cause::kPreempted:
      return "preempted";
    case Cause::kNode:
      return "node";
    case Cause::kDiskFull:
      return "disk_full";
    case Cause::kBug:
      return "bug";
  }
  return "bug";
}

JournalWriter::JournalWriter(const fs::path& path) : path_(path) {
  file_ = FileDescriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644));
  if (!file_.is_open()) throw system_error(errno, "create journal", path.native());
  keep_room(kLastLine);
  sync_folder(path.parent_path());
  syncer_ = std::jthread([this](const std::stop_token& stop) { sync_every_second(stop); });
}

JournalWriter::~JournalWriter() {
  syncer_.request_stop();
  syncer_.join();
  if (!torn_ && room_ > size_) [[maybe_unused]]
    const int unused_room = ::ftruncate(file_.get(), size_);  // given back; where that fails, it is a few blocks
  if (dirty_) sync();
}

// Blocks beyond the end: readers see no more than what was written. Where the file system cannot keep any, what is
// written is all that it has.
void JournalWriter::keep_room(std::int64_t bytes) {
  if (bytes <= room_) return;
  const std::int64_t wanted = (bytes + kRoomStep - 1) / kRoomStep * kRoomStep;
  int failed = 0;
  do failed = ::fallocate(file_.get(), FALLOC_FL_KEEP_SIZE, 0, wanted) != 0 ? errno : 0;
  while (failed == EINTR);
  if (failed == ENOSPC || failed == EDQUOT) throw system_error(failed, "write", path_.native());
  room_ = wanted;
}

void JournalWriter::started(std::string_view job, int attempt, const Restored* restored, std::int64_t steps) {
  std::string from = "null";
  if (restored != nullptr) {
    from = fmt::format(R"({{"file":{},"digest":{},"step":{}}})", json_string(restored->file),
                       json_string(restored->digest), restored->step);
  }
  append("started",
         fmt::format(R"("job":{},"attempt":{},"restored":{},"steps":{})", json_string(job), attempt, from, steps),
         Line::kAcknowledged);
}

void JournalWriter::metrics(std::int64_t step, std::span<const Metric> values) {
  append("metrics", fmt::format(R"("step":{},"values":{})", step, json_object(values)), Line::kSyncedLater);
}

void JournalWriter::measurement(const Measurement& measurement) {
  append("measurement",
         fmt::format(R"("name":{},"unit":{},"dtype":"float64","axes":{},"values":{},"details":{})",
                     json_string(measurement.name), json_string(measurement.unit), json_axes(measurement.axes),
                     json_numbers(measurement.values), json_object(measurement.details)),
         Line::kSyncedLater);
}

void JournalWriter::checkpoint(std::int64_t step, std::string_view file, std::string_view digest) {
  append("checkpoint", fmt::format(R"("step":{},"file":{},"digest":{})", step, json_string(file), json_string(digest)),
         Line::kAcknowledged);
}

void JournalWriter::progress(std::int64_t done, std::int64_t total, std::optional<double> tokens_per_second) {
  std::string members = fmt::format(R"("done":{},"total":{})", done, total);
  if (tokens_per_second) members += fmt::format(R"(,"tokens_per_second":{})", json_number(*tokens_per_second));
  append("progress", members, Line::kSyncedLater);
}

void JournalWriter::warning(std::string_view code, std::string_view message) {
  append("warning", fmt::format(R"("code":{},"message":{})", json_string(code), json_string(message)),
         Line::kSyncedLater);
}

void JournalWriter::failed(Cause cause, std::string_view message) {
  append("failed", fmt::format(R"("cause":{},"message":{})", json_string(name_of(cause)), json_string(message)),
         Line::kLast);
}

void JournalWriter::finished(std::span<const Metric> summary) {
  append("finished", fmt::format(R"("summary":{})", json_object(summary)), Line::kLast);
}

void JournalWriter::append(std::string_view type, std::string_view members, Line kind) {
  const std::scoped_lock lock(mutex_);
  if (torn_)
    throw Error(ErrorCode::kIo,
                fmt::format("journal '{}' ends in a torn line that could not be cut off", path_.native()));
  throw_if_a_sync_failed();
  std::string line = fmt::format(R"({{"seq":{},"t":{:.6f},"type":"{}",{})", next_seq_, now_seconds(), type, members);
  const std::uint32_t crc = crc32(line, crc_);
  line += fmt::format(",\"crc\":{}}}\n", crc);
  if (kind != Line::kLast) keep_room(size_ + static_cast<std::int64_t>(line.size()) + kLastLine);
  try {
    write_all(file_.get(), line, path_);
  } catch (...) {
    // What was written of the line is cut off, and its number used again: a shorter line may still fit.
    torn_ = ::ftruncate(file_.get(), size_) != 0;
    room_ = 0;
    throw;
  }
  size_ += static_cast<std::int64_t>(line.size());
  ++next_seq_;
  crc_ = crc;
  dirty_ = true;
  if (kind == Line::kSyncedLater) return;
  sync();
  throw_if_a_sync_failed();
  dirty_ = false;
}

// One at a time: the kernel tells of an error once, so a line that must be acknowledged waits for the sync in the
// background and hears of its error, too.
void JournalWriter::sync() {
  const std::scoped_lock lock(one_sync_);
  if (::fdatasync(file_.get()) != 0) sync_error_ = errno;
}

void JournalWriter::throw_if_a_sync_failed() {
  if (const int error = sync_error_.exchange(0)) throw system_error(error, "sync", path_.native());
}

void JournalWriter::sync_every_second(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_.wait_for(lock, stop, kSyncInterval, [] { return false; });
    if (!dirty_) continue;
    dirty_ = false;
    // The sync runs without the lock, so that a slow disk does not hold up the training step.
    lock.unlock();
    sync();
    lock.lock();
    if (sync_error_ != 0) dirty_ = true;
  }
}

}  // namespace mestre
