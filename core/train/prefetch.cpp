#include "core/train/prefetch.h"

#include <algorithm>
#include <utility>

#include <ATen/core/grad_mode.h>

namespace mestre {

BatchReader::BatchReader(TrainingText text, const TrainOptions& options, at::Device device)
    : batches_(std::move(text), options, device),
      options_(options),
      thread_([this](const std::stop_token& stop) { work(stop); }) {}

Batch BatchReader::read(std::int64_t first, std::int64_t count) {
  const Range range{first, count};
  const bool is_coming = batch_.valid() && coming_ == range;
  if (is_coming) read_what_nobody_began();
  Batch batch = is_coming ? batch_.get() : batches_.read(first, count);
  begin(after(range));
  return batch;
}

// Steps begin at whole multiples of their size, and only the last micro-batch of one may be smaller.
BatchReader::Range BatchReader::after(Range range) {
  micro_batch_ = std::max(micro_batch_, range.count);
  const std::int64_t next = range.first + range.count;
  const std::int64_t in_step = options_.sequences_per_step - next % options_.sequences_per_step;
  const std::int64_t in_run = options_.steps() * options_.sequences_per_step - next;
  return {.first = next, .count = std::min({micro_batch_, in_step, in_run})};
}

void BatchReader::begin(Range range) {
  batch_ = {};
  if (range.count <= 0) return;
  Task task([this, range] { return batches_.read(range.first, range.count); });
  coming_ = range;
  batch_ = task.get_future();
  {
    const std::lock_guard lock(mutex_);
    task_ = std::move(task);
  }
  changed_.notify_one();
}

// Where all cores are taken, the thread may not have had its turn: what it has not begun is as quickly read here.
void BatchReader::read_what_nobody_began() {
  std::optional<Task> task;
  {
    const std::lock_guard lock(mutex_);
    task.swap(task_);
  }
  if (task) (*task)();
}

void BatchReader::work(const std::stop_token& stop) {
  const at::NoGradGuard no_gradient;
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return task_.has_value(); }) && !stop.stop_requested()) {
    Task task = std::move(*task_);
    task_.reset();
    lock.unlock();
    task();
    lock.lock();
  }
}

}  // namespace mestre
