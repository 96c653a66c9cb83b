#include "kernels/operation.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace mestre::kernels {

void check_rank(const Argument& a, std::int64_t rank, const char* shape) {
  TORCH_CHECK(a.tensor.dim() == rank, a.operation, ": ", a.name, ": expected ", rank, " dimensions ", shape, ", got ",
              a.tensor.sym_sizes());
  TORCH_CHECK(a.tensor.sym_numel() > 0, a.operation, ": ", a.name, ": expected positive sizes, got ",
              a.tensor.sym_sizes());
}

void check_shape(const Argument& a, const Shape& expected, const char* why) {
  TORCH_CHECK(a.tensor.sym_sizes() == c10::SymIntArrayRef(expected), a.operation, ": ", a.name, ": expected shape ",
              c10::SymIntArrayRef(expected), " (", why, "), got ", a.tensor.sym_sizes());
}

void check_floating(const Argument& a) {
  const at::ScalarType type = a.tensor.scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kDouble || type == at::kBFloat16, a.operation, ": ", a.name,
              ": expected float32, float64 or bfloat16, got ", type);
}

void check_goes_with(const Argument& a, const Argument& first) {
  check_floating(a);
  TORCH_CHECK(arithmetic_type(a.tensor) == arithmetic_type(first.tensor), a.operation, ": ", a.name, ": expected ",
              arithmetic_type(first.tensor) == at::kDouble ? "float64" : "float32 or bfloat16", " (to go with ",
              first.name, "), got ", a.tensor.scalar_type());
  TORCH_CHECK(a.tensor.device() == first.tensor.device(), a.operation, ": ", a.name, ": expected device ",
              first.tensor.device(), " (that of ", first.name, "), got ", a.tensor.device());
}

at::ScalarType arithmetic_type(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

at::Tensor rows_for(const at::Tensor& tensor, const at::Tensor& first) {
  const at::Tensor typed = tensor.to(arithmetic_type(first));
  return typed.stride(-1) == 1 || typed.size(-1) == 1 ? typed : typed.contiguous();
}

at::Tensor room_like(const at::Tensor& tensor) {
  return at::empty_symint(tensor.sym_sizes(), tensor.options());
}

bool has_kernels(const at::Tensor& tensor) {
  return tensor.device().is_cpu() || tensor.device().is_meta();
}

at::Tensor or_undefined(const std::optional<at::Tensor>& tensor) {
  return tensor ? *tensor : at::Tensor();
}
std::optional<at::Tensor> if_defined(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional<at::Tensor>(tensor) : std::nullopt;
}

void run_tasks(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& task) {
  at::parallel_for(0, count, grain, task);
}

}  // namespace mestre::kernels
