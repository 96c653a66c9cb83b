#include "core/mixers/attention/module_cache.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace mestre {
namespace {

constexpr std::int64_t kSmallestBuffer = 64;  // tokens

}  // namespace

KeyValueCache::Visible KeyValueCache::append(const at::Tensor& k, const at::Tensor& v) {
  const std::int64_t length = k.size(1);
  const bool recording = at::GradMode::is_enabled() &&
                         (k.requires_grad() || v.requires_grad() || (keys_.defined() && keys_.requires_grad()));
  if (recording) {
    const auto appended = [&](const at::Tensor& held, const at::Tensor& now) {
      return held.defined() ? at::cat({held.narrow(1, first_, count_), now}, 1) : now;
    };
    keys_ = appended(keys_, k);
    values_ = appended(values_, v);
    first_ = 0;
  } else {
    make_room(k, v);
    keys_.narrow(1, first_ + count_, length).copy_(k);
    values_.narrow(1, first_ + count_, length).copy_(v);
  }
  count_ += length;
  const Visible visible = {.keys = keys_.narrow(1, first_, count_), .values = values_.narrow(1, first_, count_)};
  if (const std::int64_t unseen = count_ - (window_ - 1); window_ > 0 && unseen > 0) {
    first_ += unseen;
    count_ -= unseen;
  }
  return visible;
}

void KeyValueCache::make_room(const at::Tensor& k, const at::Tensor& v) {
  const std::int64_t needed = count_ + k.size(1);
  if (keys_.defined() && !keys_.requires_grad() && first_ + needed <= keys_.size(1)) return;
  const std::int64_t capacity = std::max(kSmallestBuffer, 2 * needed);
  const auto moved = [&](const at::Tensor& held, const at::Tensor& now) {
    at::Tensor buffer = at::empty({now.size(0), capacity, now.size(2), now.size(3)}, now.options());
    if (count_ > 0) buffer.narrow(1, 0, count_).copy_(held.narrow(1, first_, count_));
    return buffer;
  };
  keys_ = moved(keys_, k);
  values_ = moved(values_, v);
  first_ = 0;
}

}  // namespace mestre
