// How many sequences one forward and backward pass can take (resources.micro_batch = "auto").
#pragma once

#include <cstdint>
#include <functional>

#include <c10/core/Device.h>

namespace mestre {

/// The largest micro-batch, at most `most`, that fits the device's memory, evened out so that the passes of a step are
/// of nearly one size. `pass` runs a whole forward and backward pass of so many sequences and leaves nothing behind; it
/// is tried with one and with two sequences, from which the rest follows, and on a GPU with the result, which shrinks
/// until it fits. A GPU is filled to nine tenths; of a host's memory half of what is available is taken.
/// Throws JobFailure (out_of_memory_gpu) where not even one sequence fits.
[[nodiscard]] std::int64_t largest_micro_batch(std::int64_t most, at::Device device,
                                               const std::function<void(std::int64_t)>& pass);

/// What largest_micro_batch computes with: bytes at the peak of a pass of one sequence and of two, and what may be
/// filled. Between 1 and `most`. Pure.
[[nodiscard]] std::int64_t fitting_micro_batch(std::int64_t most, double one, double two, double limit);
/// The smallest micro-batch with which a step of `sequences` needs no more passes than with `micro_batch`. Pure.
[[nodiscard]] std::int64_t evened_out(std::int64_t sequences, std::int64_t micro_batch);

}  // namespace mestre
