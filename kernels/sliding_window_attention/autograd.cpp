// Registers attention over a sliding window with Torch's dispatcher: schemas, checks, CPU, Meta, composition, Autograd.
#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/operation.h"
#include "kernels/recompute.h"
#include "kernels/sliding_window_attention/autograd_heads.h"
#include "kernels/sliding_window_attention/sliding_window_attention.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;
using torch::autograd::variable_list;

using ForwardResult = std::tuple<Tensor, Tensor>;
using BackwardResult = std::tuple<Tensor, Tensor, Tensor>;
using ForwardSignature = ForwardResult(const Tensor&, const Tensor&, const Tensor&, std::int64_t, double);
using BackwardSignature = BackwardResult(const OptionalTensor&, const OptionalTensor&, const Tensor&, const Tensor&,
                                         const Tensor&, const Tensor&, std::int64_t, double);

void check(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window) {
  constexpr const char* kName = "sliding_window_attention";
  const Argument queries = {kName, "q", q}, keys = {kName, "k", k}, values = {kName, "v", v};
  check_rank(queries, 4, "[B, Lq, H, D]");
  check_floating(queries);
  check_rank(keys, 4, "[B, Lk, G, D]");
  check_shape(keys, {q.sym_size(0), k.sym_size(1), k.sym_size(2), q.sym_size(3)}, "[B, Lk, G, D], B and D from q");
  check_shape(values, k.sym_sizes().vec(), "[B, Lk, G, D], as k");
  check_goes_with(keys, queries);
  check_goes_with(values, queries);
  TORCH_CHECK(k.sym_size(1) >= q.sym_size(1), kName, ": k: expected at least as many keys as queries, ", q.sym_size(1),
              ", got ", k.sym_size(1));
  TORCH_CHECK(q.sym_size(2) % k.sym_size(2) == 0, kName, ": k: expected a number of heads that divides that of q, ",
              q.sym_size(2), ", got ", k.sym_size(2));
  TORCH_CHECK(window >= 0, kName, ": window: expected 0 (all) or a number of keys, got ", window);
}

ForwardResult empty_results(const Tensor& q) {
  return {room_like(q),
          at::empty_symint({q.sym_size(0), q.sym_size(2), q.sym_size(1)}, q.options().dtype(arithmetic_type(q)))};
}

ForwardResult forward_cpu(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window, double scale) {
  check(q, k, v, window);
  const HeadTensors in = {rows_for(q, q), rows_for(k, q), rows_for(v, q), window, scale};
  const auto [o, logsumexp] = empty_results(in.q);
  attend_heads(in, o, logsumexp);
  return {o.to(q.scalar_type()), logsumexp};
}

BackwardResult backward_cpu(const OptionalTensor& d_o, const OptionalTensor& d_logsumexp, const Tensor& logsumexp,
                            const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window, double scale) {
  check(q, k, v, window);
  const HeadTensors in = {rows_for(q, q), rows_for(k, q), rows_for(v, q), window, scale};
  const HeadGradients gradients = {.logsumexp = logsumexp.contiguous(),
                                   .d_o = d_o ? rows_for(*d_o, q) : at::zeros_like(in.q),
                                   .d_logsumexp = d_logsumexp ? d_logsumexp->contiguous() : Tensor(),
                                   .dq = room_like(in.q),
                                   .dk = room_like(in.k),
                                   .dv = room_like(in.v)};
  attend_heads_backward(in, gradients);
  return {gradients.dq.to(q.scalar_type()), gradients.dk.to(k.scalar_type()), gradients.dv.to(v.scalar_type())};
}

ForwardResult forward_meta(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window, double /*scale*/) {
  check(q, k, v, window);
  return empty_results(q);
}

BackwardResult backward_meta(const OptionalTensor& /*d_o*/, const OptionalTensor& /*d_logsumexp*/,
                             const Tensor& /*logsumexp*/, const Tensor& q, const Tensor& k, const Tensor& v,
                             std::int64_t window, double /*scale*/) {
  check(q, k, v, window);
  return {room_like(q), room_like(k), room_like(v)};
}

class SlidingWindowAttention : public torch::autograd::Function<SlidingWindowAttention> {
 public:
  static variable_list forward(torch::autograd::AutogradContext* context, const Tensor& q, const Tensor& k,
                               const Tensor& v, std::int64_t window, double scale) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    auto [o, logsumexp] = sliding_window_attention(q, k, v, window, scale);
    context->save_for_backward({logsumexp, q, k, v});
    context->saved_data["window"] = window;
    context->saved_data["scale"] = scale;
    context->set_materialize_grads(false);
    return {o, logsumexp};
  }

  static variable_list backward(torch::autograd::AutogradContext* context, const variable_list& gradients) {
    static const auto operation = find_operation<BackwardSignature>("mestre::sliding_window_attention_backward");
    const variable_list saved = context->get_saved_variables();
    if (!gradients[0].defined() && !gradients[1].defined()) return variable_list(5);
    const auto [dq, dk, dv] =
        operation.call(if_defined(gradients[0]), if_defined(gradients[1]), saved[0], saved[1], saved[2], saved[3],
                       context->saved_data["window"].toInt(), context->saved_data["scale"].toDouble());
    return {dq, dk, dv, Tensor(), Tensor()};
  }
};

ForwardResult forward_autograd(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window, double scale) {
  if (!has_kernels(q)) return sliding_window_attention_composition(q, k, v, window, scale);
  const variable_list results = SlidingWindowAttention::apply(q, k, v, window, scale);
  return {results[0], results[1]};
}

constexpr std::int64_t kQueriesOfABlock = 256;

/// A block of queries against the keys from position `first_key` on: q [B, H, l, D], k and v [B, H, n, D], in the type
/// of arithmetic; to o [B, H, l, D] and logsumexp [B, H, l].
variable_list attend_block(const variable_list& in, std::int64_t first_query, std::int64_t first_key,
                           std::int64_t window, double scale) {
  const at::TensorOptions index = in[0].options().dtype(at::kLong);
  const Tensor distance = at::arange(first_query, first_query + in[0].size(2), index).unsqueeze(1) -
                          at::arange(first_key, first_key + in[1].size(2), index);
  const Tensor hidden = window > 0 ? (distance < 0) | (distance >= window) : distance < 0;
  const Tensor scores =
      at::matmul(in[0] * scale, in[1].transpose(2, 3)).masked_fill(hidden, -std::numeric_limits<double>::infinity());
  return {at::matmul(scores.softmax(-1), in[2]), scores.logsumexp(-1)};
}

}  // namespace

std::tuple<Tensor, Tensor> sliding_window_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                                    std::int64_t window, double scale) {
  static const auto operation = find_operation<ForwardSignature>("mestre::sliding_window_attention");
  return operation.call(q, k, v, window, scale);
}

std::tuple<Tensor, Tensor> sliding_window_attention_composition(const Tensor& q, const Tensor& k, const Tensor& v,
                                                                std::int64_t window, double scale) {
  check(q, k, v, window);
  const std::int64_t queries = q.size(1), offset = k.size(1) - queries, shared = q.size(2) / k.size(2);
  const at::ScalarType type = arithmetic_type(q);
  std::vector<Tensor> o, logsumexp;
  for (std::int64_t first = 0; first < queries; first += kQueriesOfABlock) {
    const std::int64_t count = std::min(kQueriesOfABlock, queries - first), position = offset + first;
    const std::int64_t first_key = window > 0 ? std::max<std::int64_t>(0, position - window + 1) : 0;
    const auto block = [=](const variable_list& in) {
      const auto heads = [&](const Tensor& tensor, std::int64_t copies) {
        return tensor.to(type).transpose(1, 2).repeat_interleave(copies, 1);
      };
      return attend_block({heads(in[0], 1), heads(in[1], shared), heads(in[2], shared)}, position, first_key, window,
                          scale);
    };
    const std::int64_t keys = position + count - first_key;
    const variable_list results =
        recomputed(block, {q.narrow(1, first, count), k.narrow(1, first_key, keys), v.narrow(1, first_key, keys)});
    o.push_back(results[0]);
    logsumexp.push_back(results[1]);
  }
  return {at::cat(o, 2).transpose(1, 2).to(q.scalar_type()).contiguous(), at::cat(logsumexp, 2)};
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  library.def(
      "sliding_window_attention(Tensor q, Tensor k, Tensor v, int window, float scale) -> (Tensor o, Tensor "
      "logsumexp)");
  library.def(
      "sliding_window_attention_backward(Tensor? d_o, Tensor? d_logsumexp, Tensor logsumexp, Tensor q, "
      "Tensor k, Tensor v, int window, float scale) -> (Tensor q, Tensor k, Tensor v)");
}

TORCH_LIBRARY_IMPL(mestre, CPU, library) {
  library.impl("sliding_window_attention", forward_cpu);
  library.impl("sliding_window_attention_backward", backward_cpu);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("sliding_window_attention", forward_meta);
  library.impl("sliding_window_attention_backward", backward_meta);
}

TORCH_LIBRARY_IMPL(mestre, CompositeExplicitAutograd, library) {
  library.impl("sliding_window_attention", sliding_window_attention_composition);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("sliding_window_attention", forward_autograd);
  library.impl("sliding_window_attention_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace mestre::kernels
