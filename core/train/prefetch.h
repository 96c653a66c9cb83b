// Batches of a training, read while the step before computes.
//
// A training asks for its sequences in order, so the batch that it will want next is known when it takes one: a thread
// of this object's own reads it meanwhile, and the step finds it in memory. What is known is a guess: where another
// batch is asked for, that one is read at once and the guess is thrown away, so a wrong guess costs a read and never
// gives a wrong batch. An error of a read surfaces at the call that asks for that batch.
//
// Shares nothing with the step but the text, which is immutable: what is read does not depend on
// when it was read. For one caller at a time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "core/train/batches.h"

namespace mestre {

class BatchReader {
 public:
  /// `options` must outlive this. `device` is where the batches are going.
  BatchReader(TrainingText text, const TrainOptions& options, at::Device device = at::kCPU);
  /// Waits for the read that is under way, of one batch at most.
  ~BatchReader() = default;
  BatchReader(const BatchReader&) = delete;
  BatchReader& operator=(const BatchReader&) = delete;

  /// As Batches::read, and begins to read what follows: `count` sequences, or as many as the step and the run still
  /// have. Throws what Batches::read throws.
  [[nodiscard]] Batch read(std::int64_t first, std::int64_t count);

 private:
  struct Range {
    std::int64_t first = 0, count = 0;
    friend bool operator==(const Range&, const Range&) = default;
  };
  using Task = std::packaged_task<Batch()>;

  [[nodiscard]] Range after(Range range);
  void begin(Range range);
  void read_what_nobody_began();
  void work(const std::stop_token& stop);

  Batches batches_;
  const TrainOptions& options_;
  std::int64_t micro_batch_ = 0;  // the largest count that was asked for
  Range coming_;                  // what is being read ahead
  std::future<Batch> batch_;      // of that range

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Task> task_;  // guarded by mutex_
  std::jthread thread_;       // the last member: it ends before anything that it uses
};

}  // namespace mestre
