#include "core/data/pipeline.h"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace mestre {
namespace {

class Running {
 public:
  explicit Running(const Pipeline& pipeline) : pipeline_(pipeline) {
    threads_.emplace_back([this] { guarded([this] { read(); }); });
    for (int i = 0; i < pipeline.threads; ++i) threads_.emplace_back([this] { guarded([this] { encode(); }); });
  }
  ~Running() {
    stop(nullptr);
    for (std::thread& thread : threads_) thread.join();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  // On the caller's thread, until all is written.
  void write() {
    for (std::uint64_t number = 0;; ++number) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return failure_ || encoded_.contains(number) || (is_read_ && number == units_); });
      if (failure_) std::rethrow_exception(failure_);
      if (!encoded_.contains(number)) return;
      auto [unit, bytes] = std::move(encoded_.extract(number).mapped());
      lock.unlock();
      pipeline_.write(std::move(unit));
      lock.lock();
      under_way_ -= bytes;
      changed_.notify_all();
    }
  }

 private:
  template <typename Work>
  void guarded(const Work& work) {
    try {
      work();
    } catch (...) {
      stop(std::current_exception());
    }
  }

  void stop(const std::exception_ptr& failure) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = failure;
    is_stopped_ = true;
    changed_.notify_all();
  }

  void read() {
    while (std::optional<TextUnit> unit = pipeline_.read()) {
      std::unique_lock lock(mutex_);
      const std::size_t bytes = unit->text.size();
      changed_.wait(lock, [&] { return is_stopped_ || under_way_ == 0 || under_way_ + bytes <= pipeline_.read_ahead; });
      if (is_stopped_) return;
      under_way_ += bytes;
      waiting_.push_back({units_++, std::move(*unit)});
      changed_.notify_all();
    }
    const std::lock_guard lock(mutex_);
    is_read_ = true;
    changed_.notify_all();
  }

  void encode() {
    const auto encoder = pipeline_.make_encoder();
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return is_stopped_ || !waiting_.empty() || is_read_; });
      if (is_stopped_ || waiting_.empty()) return;
      auto [number, unit] = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      const std::size_t bytes = unit.text.size();
      EncodedUnit encoded = encoder(std::move(unit));
      lock.lock();
      encoded_.emplace(number, std::pair(std::move(encoded), bytes));
      changed_.notify_all();
    }
  }

  const Pipeline& pipeline_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<std::uint64_t, TextUnit>> waiting_;
  std::map<std::uint64_t, std::pair<EncodedUnit, std::size_t>> encoded_;
  std::uint64_t units_ = 0;    // that were read
  std::size_t under_way_ = 0;  // bytes of text
  bool is_read_ = false;       // all of it
  bool is_stopped_ = false;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

}  // namespace

void run(const Pipeline& pipeline) {
  Running(pipeline).write();
}

}  // namespace mestre
