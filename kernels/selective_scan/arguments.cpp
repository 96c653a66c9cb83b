#include "kernels/selective_scan/arguments.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "kernels/selective_scan/cpu.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;
using Shape = std::vector<c10::SymInt>;

/// Types that an argument may have, and how a message calls them.
struct Types {
  std::vector<at::ScalarType> allowed;
  const char* names;
};

bool in_double(const Tensor& u) {
  return u.scalar_type() == at::kDouble;
}

/// Of parameters and states: fp32, or fp64 where u is.
Types state_types(const Tensor& u) {
  if (in_double(u)) return {{at::kDouble}, "float64, as u is"};
  return {{at::kFloat}, "float32"};
}

/// Of what comes for each token: fp32 or bf16, or fp64 where u is.
Types row_types(const Tensor& u) {
  if (in_double(u)) return {{at::kDouble}, "float64, as u is"};
  return {{at::kFloat, at::kBFloat16}, "float32 or bfloat16"};
}

void check_rank(const char* name, const Tensor& tensor, std::int64_t rank, const char* shape) {
  TORCH_CHECK(tensor.dim() == rank, "selective_scan: ", name, ": expected ", rank, " dimensions ", shape, ", got ",
              tensor.sym_sizes());
}

void check_tensor(const char* name, const Tensor& tensor, const Shape& shape, const char* why, const Tensor& u,
                  const Types& types) {
  TORCH_CHECK(tensor.sym_sizes() == c10::SymIntArrayRef(shape), "selective_scan: ", name, ": expected shape ",
              c10::SymIntArrayRef(shape), " (", why, "), got ", tensor.sym_sizes());
  TORCH_CHECK(std::find(types.allowed.begin(), types.allowed.end(), tensor.scalar_type()) != types.allowed.end(),
              "selective_scan: ", name, ": expected ", types.names, ", got ", tensor.scalar_type());
  TORCH_CHECK(tensor.device() == u.device(), "selective_scan: ", name, ": expected device ", u.device(),
              " (that of u), got ", tensor.device());
}

void check_rows(const char* name, const Tensor& tensor, const Shape& shape, const char* why, const Tensor& u) {
  check_tensor(name, tensor, shape, why, u, row_types(u));
}

void check_state(const char* name, const OptionalTensor& tensor, const Shape& shape, const char* why, const Tensor& u) {
  if (tensor) check_tensor(name, *tensor, shape, why, u, state_types(u));
}

struct Sizes {
  c10::SymInt batch, length, channels, state;
};

Sizes sizes_of(const ScanArguments& a) {
  return {a.u.sym_size(0), a.u.sym_size(1), a.u.sym_size(2), a.A.sym_size(1)};
}

Shape checkpoint_shape(const Sizes& s) {
  const c10::SymInt chunks = (s.length + (kCheckpointTokens - 1)) / kCheckpointTokens;
  return {s.batch, chunks, (s.channels + 15) / 16 * 16, (s.state + 3) / 4 * 4};
}

}  // namespace

void check_arguments(const ScanArguments& a) {
  check_rank("u", a.u, 3, "[B, L, E]");
  check_rank("A", a.A, 2, "[E, N]");
  const Sizes s = sizes_of(a);
  TORCH_CHECK(s.batch > 0 && s.length > 0 && s.channels > 0, "selective_scan: u: expected positive sizes, got ",
              a.u.sym_sizes());
  TORCH_CHECK(s.state > 0 && s.state <= kMaxState, "selective_scan: A: expected 1 to ", kMaxState,
              " states in the last dimension, got ", s.state);
  const Shape tokens = {s.batch, s.length, s.channels}, rows = {s.batch, s.length, s.state}, channels = {s.channels};
  const Types all = {{at::kFloat, at::kBFloat16, at::kDouble}, "float32, bfloat16 or float64"};
  check_tensor("u", a.u, tokens, "[B, L, E]", a.u, all);
  check_rows("delta", a.delta, tokens, "[B, L, E], as u", a.u);
  check_state("A", a.A, {s.channels, s.state}, "[E, N], E from u", a.u);
  check_rows("B", a.B, rows, "[B, L, N], N from A", a.u);
  check_rows("C", a.C, rows, "[B, L, N], N from A", a.u);
  check_state("D", a.D, channels, "[E]", a.u);
  if (a.z) check_rows("z", *a.z, tokens, "[B, L, E], as u", a.u);
  check_state("delta_bias", a.delta_bias, channels, "[E]", a.u);
  check_state("initial_state", a.initial_state, {s.batch, s.channels, s.state}, "[B, E, N]", a.u);
  if (a.reset) check_tensor("reset", *a.reset, {s.batch, s.length}, "[B, L]", a.u, {{at::kBool}, "bool"});
}

void check_backward(const ScanArguments& a, const Tensor& d_y, const OptionalTensor& d_final_state,
                    const Tensor& checkpoints) {
  check_arguments(a);
  const Sizes s = sizes_of(a);
  check_rows("gradient of y", d_y, {s.batch, s.length, s.channels}, "[B, L, E], as u", a.u);
  check_state("gradient of final_state", d_final_state, {s.batch, s.channels, s.state}, "[B, E, N]", a.u);
  check_state("checkpoints", checkpoints, checkpoint_shape(s), "as selective_scan_forward returned them", a.u);
  TORCH_CHECK(checkpoints.is_contiguous(), "selective_scan: checkpoints: expected contiguous, got strides ",
              checkpoints.sym_strides());
}

ScanResult empty_outputs(const ScanArguments& a) {
  const Sizes s = sizes_of(a);
  return {at::empty_symint({s.batch, s.length, s.channels}, a.u.options()),
          at::empty_symint({s.batch, s.channels, s.state}, a.A.options())};
}

Tensor empty_checkpoints(const ScanArguments& a) {
  return at::empty_symint(checkpoint_shape(sizes_of(a)), a.A.options());
}

ScanGradients empty_gradients(const ScanArguments& a) {
  const auto like = [](const Tensor& t) { return at::empty_symint(t.sym_sizes(), t.options()); };
  const auto like_optional = [&](const OptionalTensor& t) { return t ? like(*t) : at::empty({0}, a.A.options()); };
  return {like(a.u),
          like(a.delta),
          like(a.A),
          like(a.B),
          like(a.C),
          like_optional(a.D),
          like_optional(a.z),
          like_optional(a.delta_bias),
          like_optional(a.initial_state)};
}

}  // namespace mestre::kernels
