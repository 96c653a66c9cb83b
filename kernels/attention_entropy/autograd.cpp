// Registers the entropy of attention with Torch's dispatcher: schema, checks, CPU, Meta, composition; backward throws.
#include <algorithm>
#include <limits>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "kernels/attention_entropy/attention_entropy.h"
#include "kernels/attention_entropy/cpu.h"
#include "kernels/operation.h"

namespace mestre::kernels {
namespace {

using at::Tensor;

void check(const Tensor& q, const Tensor& k, std::int64_t window) {
  constexpr const char* kName = "attention_entropy";
  const Argument queries = {kName, "q", q}, keys = {kName, "k", k};
  check_rank(queries, 4, "[B, Lq, H, D]");
  check_floating(queries);
  check_rank(keys, 4, "[B, Lk, G, D]");
  check_shape(keys, {q.sym_size(0), k.sym_size(1), k.sym_size(2), q.sym_size(3)}, "[B, Lk, G, D], B and D from q");
  check_goes_with(keys, queries);
  TORCH_CHECK(k.sym_size(1) >= q.sym_size(1), kName, ": k: expected at least as many keys as queries, ", q.sym_size(1),
              ", got ", k.sym_size(1));
  TORCH_CHECK(q.sym_size(2) % k.sym_size(2) == 0, kName, ": k: expected a number of heads that divides that of q, ",
              q.sym_size(2), ", got ", k.sym_size(2));
  TORCH_CHECK(window >= 0, kName, ": window: expected 0 (all) or a number of keys, got ", window);
}

Tensor empty_result(const Tensor& q) {
  return at::empty_symint({q.sym_size(0), q.sym_size(2), q.sym_size(1)}, q.options().dtype(arithmetic_type(q)));
}

template <class T>
Tensor packed_heads(const Tensor& k) {
  const std::int64_t groups = k.size(2);
  const Tensor packed = at::empty({k.size(0) * groups, packed_keys(k.size(1), k.size(3))}, k.options());
  run_tasks(packed.size(0), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i)
      pack_keys(k.const_data_ptr<T>() + i / groups * k.stride(0) + i % groups * k.stride(2), k.stride(1), k.size(1),
                k.size(3), packed.mutable_data_ptr<T>() + i * packed.stride(0));
  });
  return packed;
}

template <class T>
void entropies(const Tensor& q, const Tensor& k, std::int64_t window, double scale, const Tensor& out) {
  const Tensor packed = packed_heads<T>(k);
  const std::int64_t queries = q.size(1), heads = q.size(2), groups = k.size(2),
                     blocks = (queries + kEntropyQueries - 1) / kEntropyQueries;
  run_tasks(q.size(0) * heads * blocks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t row = i / blocks / heads, head = i / blocks % heads, group = head / (heads / groups);
      const EntropyInput<T> input = {.queries = queries,
                                     .keys = k.size(1),
                                     .size = q.size(3),
                                     .window = window,
                                     .scale = static_cast<T>(scale),
                                     .q = q.const_data_ptr<T>() + row * q.stride(0) + head * q.stride(2),
                                     .token = q.stride(1),
                                     .packed = packed.const_data_ptr<T>() + (row * groups + group) * packed.stride(0)};
      entropy_of_block(input, i % blocks * kEntropyQueries, out.mutable_data_ptr<T>() + (row * heads + head) * queries);
    }
  });
}

Tensor entropy_cpu(const Tensor& q, const Tensor& k, std::int64_t window, double scale) {
  check(q, k, window);
  const Tensor queries = rows_for(q, q), keys = rows_for(k, q), out = empty_result(q);
  AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "attention_entropy",
                             [&] { entropies<scalar_t>(queries, keys, window, scale, out); });
  return out;
}

Tensor entropy_meta(const Tensor& q, const Tensor& k, std::int64_t window, double /*scale*/) {
  check(q, k, window);
  return empty_result(q);
}

constexpr std::int64_t kQueriesOfABlock = 256;

}  // namespace

Tensor attention_entropy(const Tensor& q, const Tensor& k, std::int64_t window, double scale) {
  static const auto operation =
      find_operation<Tensor(const Tensor&, const Tensor&, std::int64_t, double)>("mestre::attention_entropy");
  return operation.call(q, k, window, scale);
}

Tensor attention_entropy_composition(const Tensor& q, const Tensor& k, std::int64_t window, double scale) {
  check(q, k, window);
  const at::ScalarType type = arithmetic_type(q);
  const std::int64_t offset = k.size(1) - q.size(1), shared = q.size(2) / k.size(2);
  const at::TensorOptions index = q.options().dtype(at::kLong);
  std::vector<Tensor> parts;
  for (std::int64_t first = 0; first < q.size(1); first += kQueriesOfABlock) {
    const std::int64_t count = std::min(kQueriesOfABlock, q.size(1) - first), position = offset + first;
    const std::int64_t first_key = window > 0 ? std::max<std::int64_t>(0, position - window + 1) : 0;
    const std::int64_t keys = position + count - first_key;
    const Tensor rows = q.narrow(1, first, count).to(type).transpose(1, 2) * scale;
    const Tensor columns = k.narrow(1, first_key, keys).to(type).transpose(1, 2).repeat_interleave(shared, 1);
    const Tensor distance =
        at::arange(position, position + count, index).unsqueeze(1) - at::arange(first_key, first_key + keys, index);
    const Tensor hidden = window > 0 ? (distance < 0) | (distance >= window) : distance < 0;
    const Tensor scores =
        at::matmul(rows, columns.transpose(2, 3)).masked_fill(hidden, -std::numeric_limits<double>::infinity());
    const Tensor below = scores.amax(-1, true) - scores, powers = (-below).exp(), sum = powers.sum(-1);
    parts.push_back(sum.log() + (powers * below.masked_fill(hidden, 0)).sum(-1) / sum);
  }
  return at::cat(parts, 2);
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  library.def("attention_entropy(Tensor q, Tensor k, int window, float scale) -> Tensor");
}

TORCH_LIBRARY_IMPL(mestre, CPU, library) {
  library.impl("attention_entropy", entropy_cpu);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("attention_entropy", entropy_meta);
}

TORCH_LIBRARY_IMPL(mestre, CompositeExplicitAutograd, library) {
  library.impl("attention_entropy", attention_entropy_composition);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("attention_entropy", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace mestre::kernels
