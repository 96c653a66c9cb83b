// What the Torch side of every operation shares: finding operations, checking arguments, the type of arithmetic, tasks.
//
// Functions here keep nothing and may be called from any thread. Checks throw c10::Error saying the operation, the
// argument, what was expected and what it got.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

namespace mestre::kernels {

using Shape = std::vector<c10::SymInt>;

template <class Signature>
[[nodiscard]] c10::TypedOperatorHandle<Signature> find_operation(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

/// An argument as messages name it.
struct Argument {
  const char* operation;
  const char* name;
  const at::Tensor& tensor;
};

/// As many dimensions, none of them empty. `shape` is what the message shows.
void check_rank(const Argument& argument, std::int64_t rank, const char* shape);
void check_shape(const Argument& argument, const Shape& expected, const char* why);
/// float32, float64 or bfloat16.
void check_floating(const Argument& argument);
/// On the device of `first` and computed in the same arithmetic: fp64 goes with fp64 only, fp32 and bf16 mix.
void check_goes_with(const Argument& argument, const Argument& first);

/// In which type the operation computes: fp64 for fp64, else fp32.
[[nodiscard]] at::ScalarType arithmetic_type(const at::Tensor& tensor);

/// In the type of arithmetic of `first`, the last dimension contiguous; the tensor itself where it is so already.
[[nodiscard]] at::Tensor rows_for(const at::Tensor& tensor, const at::Tensor& first);

/// Uninitialised, contiguous, of the same shape, type and device.
[[nodiscard]] at::Tensor room_like(const at::Tensor& tensor);

/// Whether `tensor` lies where the operations have kernels of their own; elsewhere compositions serve.
[[nodiscard]] bool has_kernels(const at::Tensor& tensor);

/// For save_for_backward, which knows undefined tensors but not absent ones, and back.
[[nodiscard]] at::Tensor or_undefined(const std::optional<at::Tensor>& tensor);
[[nodiscard]] std::optional<at::Tensor> if_defined(const at::Tensor& tensor);

/// task(first, last) for parts of 0 … count that are `grain` long or longer, side by side.
void run_tasks(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& task);

}  // namespace mestre::kernels
