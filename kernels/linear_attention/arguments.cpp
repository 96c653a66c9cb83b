#include "kernels/linear_attention/arguments.h"

#include <algorithm>
#include <string>

#include <ATen/ATen.h>

#include "kernels/operation.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

void check_rank(const char* operation, const char* name, const Tensor& tensor, const char* letters) {
  TORCH_CHECK(tensor.dim() == 4, operation, ": ", name, ": expected 4 dimensions ", letters, ", got ",
              tensor.sym_sizes());
}

AttentionSizes sizes_of(const char* operation, const Tensor& q, const Tensor& v) {
  check_rank(operation, "q", q, "[B, L, H, K]");
  check_rank(operation, "v", v, "[B, L, H, V]");
  AttentionSizes s = {q.sym_size(0), q.sym_size(1), q.sym_size(2), q.sym_size(3), v.sym_size(3)};
  TORCH_CHECK(s.batch > 0 && s.length > 0 && s.heads > 0 && s.key > 0, operation, ": q: expected positive sizes, got ",
              q.sym_sizes());
  TORCH_CHECK(s.value > 0, operation, ": v: expected positive sizes, got ", v.sym_sizes());
  return s;
}

std::string written(const std::vector<at::ScalarType>& types) {
  std::string all;
  for (const at::ScalarType type : types) {
    if (!all.empty()) all += " or ";
    all += type == at::kFloat      ? "float32"
           : type == at::kDouble   ? "float64"
           : type == at::kBFloat16 ? "bfloat16"
                                   : "bool";
  }
  return all;
}

}  // namespace

AttentionArguments::AttentionArguments(const char* operation, const Tensor& q, const Tensor& k, const Tensor& v,
                                       const OptionalTensor& initial_state, const OptionalTensor& reset)
    : operation_(operation), q_(q), sizes_(sizes_of(operation, q, v)) {
  const AttentionSizes& s = sizes_;
  check("q", q, {s.batch, s.length, s.heads, s.key}, "[B, L, H, K]", {at::kFloat, at::kBFloat16, at::kDouble});
  check_rows("k", k, s.key, "[B, L, H, K], as q");
  check_rows("v", v, s.value, "[B, L, H, V], B, L and H from q");
  if (initial_state) check_state("initial_state", *initial_state, {s.batch, s.heads, s.key, s.value}, "[B, H, K, V]");
  if (reset) check("reset", *reset, {s.batch, s.length}, "[B, L]", {at::kBool});
}

void AttentionArguments::check_state(const char* name, const Tensor& tensor, const std::vector<c10::SymInt>& shape,
                                     const char* letters) const {
  check(name, tensor, shape, letters, {arithmetic_type(q_)});
}

std::tuple<Tensor, Tensor> AttentionArguments::empty_outputs() const {
  const AttentionSizes& s = sizes_;
  return {at::empty_symint({s.batch, s.length, s.heads, s.value}, q_.options()),
          at::empty_symint({s.batch, s.heads, s.key, s.value}, q_.options().dtype(arithmetic_type(q_)))};
}

void AttentionArguments::check(const char* name, const Tensor& tensor, const std::vector<c10::SymInt>& shape,
                               const char* letters, const std::vector<at::ScalarType>& types) const {
  TORCH_CHECK(tensor.sym_sizes() == c10::SymIntArrayRef(shape), operation_, ": ", name, ": expected shape ",
              c10::SymIntArrayRef(shape), " (", letters, "), got ", tensor.sym_sizes());
  TORCH_CHECK(std::find(types.begin(), types.end(), tensor.scalar_type()) != types.end(), operation_, ": ", name,
              ": expected ", written(types), q_.scalar_type() == at::kDouble && &tensor != &q_ ? ", as q is" : "",
              ", got ", tensor.scalar_type());
  TORCH_CHECK(tensor.device() == q_.device(), operation_, ": ", name, ": expected device ", q_.device(),
              " (that of q), got ", tensor.device());
}

/// A [B, L, H, …] argument: fp64 where q is, else fp32 or bf16 on its own.
void AttentionArguments::check_rows(const char* name, const Tensor& tensor, const c10::SymInt& width,
                                    const char* letters) const {
  const bool wide = q_.scalar_type() == at::kDouble;
  check(name, tensor, {sizes_.batch, sizes_.length, sizes_.heads, width}, letters,
        wide ? std::vector{at::kDouble} : std::vector{at::kFloat, at::kBFloat16});
}

}  // namespace mestre::kernels
