// Writes one attempt's journal: JSON Lines with a chained checksum (the format is in README.md beside this file).
//
// One writer per file, opened exclusively and never again. Thread-safe: a thread of its own syncs once a second what
// was written, and the lines that acknowledge something (checkpoint, failed, finished) are synced before the call
// returns.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/files.h"

namespace mestre {

/// Why an attempt failed, as the worker itself knows it. The names stand in journals and stores; never rename one.
enum class Cause {
  kOutOfMemoryGpu,
  kOutOfMemoryHost,
  kDiverged,
  kBadInput,
  kData,
  kDeadline,
  kPreempted,
  kNode,
  kDiskFull,
  kBug
};
[[nodiscard]] std::string_view name_of(Cause cause);

struct MeasurementAxis {
  std::string name;
  std::string unit;
  std::vector<double> values;
};

/// A typed array, row-major over its axes.
struct Measurement {
  std::string name;
  std::string unit;
  std::vector<MeasurementAxis> axes;
  std::vector<double> values;
  /// Facts that go with it: number of blocks, estimator version …
  std::vector<std::pair<std::string, double>> details;
};

/// The checkpoint that an attempt started from.
struct Restored {
  std::string file;    // relative to the job's folder
  std::string digest;  // XXH3-128 of the files, as the checkpoint line said
  std::int64_t step = 0;
};

using Metric = std::pair<std::string_view, double>;

/// Each call throws Error where the line could not be written, or the last sync failed: what was written before may be
/// lost. Another line may be tried; where a piece of a line could not be cut off again, every later call throws. Room
/// for a last line is kept ahead, so that an attempt that fills the disk can still say so.
class JournalWriter {
 public:
  /// Creates `path`, which must not exist.
  explicit JournalWriter(const fs::path& path);
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  /// The first line. `restored` is null where the attempt starts afresh; `steps` is what the job takes in all (0: not
  /// counted in steps).
  void started(std::string_view job, int attempt, const Restored* restored, std::int64_t steps);
  /// Values of curves after optimizer step `step`.
  void metrics(std::int64_t step, std::span<const Metric> values);
  void measurement(const Measurement& measurement);
  /// After the checkpoint itself is durable. `file` is relative to the job's folder.
  void checkpoint(std::int64_t step, std::string_view file, std::string_view digest);
  /// For who watches: `done` of `total` units of work (steps, or tokens of an evaluation), and the speed where there is
  /// one yet.
  void progress(std::int64_t done, std::int64_t total, std::optional<double> tokens_per_second);
  void warning(std::string_view code, std::string_view message);
  /// Terminal lines; nothing may follow them.
  void failed(Cause cause, std::string_view message);
  void finished(std::span<const Metric> summary);

 private:
  enum class Line { kSyncedLater, kAcknowledged, kLast };
  void append(std::string_view type, std::string_view members, Line kind);
  void keep_room(std::int64_t bytes);
  void sync();
  void throw_if_a_sync_failed();
  void sync_every_second(const std::stop_token& stop);

  fs::path path_;
  FileDescriptor file_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::int64_t size_ = 0;  // bytes of the lines that are whole
  std::int64_t room_ = 0;  // bytes that the disk keeps for this file
  std::int64_t next_seq_ = 1;
  std::uint32_t crc_ = 0;
  bool dirty_ = false;
  bool torn_ = false;  // a piece of a line stands at the end
  std::mutex one_sync_;
  std::atomic<int> sync_error_ = 0;  // errno of a sync that failed and of which nobody has heard; 0: none
  std::jthread syncer_;
};

}  // namespace mestre
