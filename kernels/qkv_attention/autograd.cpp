// Registers attention from a packed projection with Torch's dispatcher: schemas, checks, CPU, Meta, composition,
// Autograd. The arithmetic is that of sliding_window_attention.
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "kernels/operation.h"
#include "kernels/qkv_attention/qkv_attention.h"
#include "kernels/rope/rope.h"
#include "kernels/sliding_window_attention/autograd_heads.h"
#include "kernels/sliding_window_attention/sliding_window_attention.h"

namespace mestre::kernels {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;
using torch::autograd::variable_list;

using ForwardResult = std::tuple<Tensor, Tensor>;
using ForwardSignature = ForwardResult(const Tensor&, std::int64_t, std::int64_t, std::int64_t, double,
                                       const OptionalTensor&, const OptionalTensor&);
using BackwardSignature = Tensor(const OptionalTensor&, const OptionalTensor&, const Tensor&, const Tensor&,
                                 std::int64_t, std::int64_t, std::int64_t, double, const OptionalTensor&,
                                 const OptionalTensor&);

/// The arguments of both operations.
struct Arguments {
  const Tensor& qkv;
  std::int64_t heads, kv_heads, window;
  double scale;
  const OptionalTensor &cosines, &sines;

  [[nodiscard]] std::int64_t all_heads() const { return heads + 2 * kv_heads; }
};

void check(const Arguments& a) {
  constexpr const char* kName = "qkv_attention";
  const Argument qkv = {kName, "qkv", a.qkv};
  check_rank(qkv, 3, "[B, L, (H + 2 G) D]");
  check_floating(qkv);
  TORCH_CHECK(a.heads > 0 && a.kv_heads > 0 && a.heads % a.kv_heads == 0, kName,
              ": kv_heads: expected a divisor of heads, ", a.heads, ", got ", a.kv_heads);
  TORCH_CHECK(a.qkv.sym_size(2) % a.all_heads() == 0, kName, ": qkv: expected a multiple of ", a.all_heads(),
              " (H + 2 G) channels, got ", a.qkv.sym_size(2));
  TORCH_CHECK(a.window >= 0, kName, ": window: expected 0 (all) or a number of keys, got ", a.window);
  TORCH_CHECK(a.cosines.has_value() == a.sines.has_value(), kName, ": expected both of cosines and sines, or neither");
  if (!a.cosines) return;
  const c10::SymInt size = a.qkv.sym_size(2) / a.all_heads();
  TORCH_CHECK(size % 2 == 0, kName, ": qkv: expected heads of an even size to rotate, got ", size);
  for (const auto& [name, table] : {std::pair("cosines", &*a.cosines), std::pair("sines", &*a.sines)}) {
    const Argument argument = {kName, name, *table};
    check_shape(argument, {a.qkv.sym_size(1), size / 2}, "[L, D/2]");
    check_goes_with(argument, qkv);
  }
}

ForwardResult empty_results(const Arguments& a) {
  const Tensor& qkv = a.qkv;
  const c10::SymInt batch = qkv.sym_size(0), length = qkv.sym_size(1), size = qkv.sym_size(2) / a.all_heads();
  return {at::empty_symint({batch, length, a.heads * size}, qkv.options()),
          at::empty_symint({batch, a.heads, length}, qkv.options().dtype(arithmetic_type(qkv)))};
}

Tensor split_heads(const Tensor& rows, std::int64_t heads) {
  return rows.unflatten(2, {heads, rows.size(2) / heads});
}

/// Queries, keys and values of a packed tensor, without a copy.
struct Parts {
  Parts(const Arguments& a, const Tensor& packed) {
    const Tensor all = split_heads(packed, a.all_heads());
    q = all.narrow(2, 0, a.heads);
    k = all.narrow(2, a.heads, a.kv_heads);
    v = all.narrow(2, a.heads + a.kv_heads, a.kv_heads);
  }
  Tensor q, k, v;
};

HeadTensors heads_of(const Arguments& a) {
  const Parts parts(a, rows_for(a.qkv, a.qkv));
  const auto table = [&](const OptionalTensor& values) {
    return values ? rows_for(*values, a.qkv).contiguous() : Tensor();
  };
  return {parts.q, parts.k, parts.v, a.window, a.scale, table(a.cosines), table(a.sines)};
}

ForwardResult forward_cpu(const Tensor& qkv, std::int64_t heads, std::int64_t kv_heads, std::int64_t window,
                          double scale, const OptionalTensor& cosines, const OptionalTensor& sines) {
  const Arguments a = {qkv, heads, kv_heads, window, scale, cosines, sines};
  check(a);
  const HeadTensors in = heads_of(a);
  const auto [o, logsumexp] = empty_results(a);
  const Tensor rows = rows_for(o, qkv);  // o itself, or room in the type of arithmetic
  attend_heads(in, split_heads(rows, heads), logsumexp);
  return {rows.to(qkv.scalar_type()), logsumexp};
}

Tensor backward_cpu(const OptionalTensor& d_o, const OptionalTensor& d_logsumexp, const Tensor& logsumexp,
                    const Tensor& qkv, std::int64_t heads, std::int64_t kv_heads, std::int64_t window, double scale,
                    const OptionalTensor& cosines, const OptionalTensor& sines) {
  const Arguments a = {qkv, heads, kv_heads, window, scale, cosines, sines};
  check(a);
  const HeadTensors in = heads_of(a);
  const Tensor d_qkv = at::empty(qkv.sizes(), in.q.options());
  const Parts gradients(a, d_qkv);
  attend_heads_backward(in, {.logsumexp = logsumexp.contiguous(),
                             .d_o = d_o ? split_heads(rows_for(*d_o, qkv), heads) : at::zeros_like(in.q),
                             .d_logsumexp = d_logsumexp ? d_logsumexp->contiguous() : Tensor(),
                             .dq = gradients.q,
                             .dk = gradients.k,
                             .dv = gradients.v});
  return d_qkv.to(qkv.scalar_type());
}

ForwardResult forward_meta(const Tensor& qkv, std::int64_t heads, std::int64_t kv_heads, std::int64_t window,
                           double scale, const OptionalTensor& cosines, const OptionalTensor& sines) {
  const Arguments a = {qkv, heads, kv_heads, window, scale, cosines, sines};
  check(a);
  return empty_results(a);
}

Tensor backward_meta(const OptionalTensor& /*d_o*/, const OptionalTensor& /*d_logsumexp*/, const Tensor& /*logsumexp*/,
                     const Tensor& qkv, std::int64_t heads, std::int64_t kv_heads, std::int64_t window, double scale,
                     const OptionalTensor& cosines, const OptionalTensor& sines) {
  check({qkv, heads, kv_heads, window, scale, cosines, sines});
  return room_like(qkv);
}

class QkvAttention : public torch::autograd::Function<QkvAttention> {
 public:
  static variable_list forward(torch::autograd::AutogradContext* context, const Tensor& qkv, std::int64_t heads,
                               std::int64_t kv_heads, std::int64_t window, double scale, const OptionalTensor& cosines,
                               const OptionalTensor& sines) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    auto [o, logsumexp] = qkv_attention(qkv, heads, kv_heads, window, scale, cosines, sines);
    context->save_for_backward({logsumexp, qkv, or_undefined(cosines), or_undefined(sines)});
    context->saved_data["heads"] = heads;
    context->saved_data["kv_heads"] = kv_heads;
    context->saved_data["window"] = window;
    context->saved_data["scale"] = scale;
    context->set_materialize_grads(false);
    return {o, logsumexp};
  }

  static variable_list backward(torch::autograd::AutogradContext* context, const variable_list& gradients) {
    static const auto operation = find_operation<BackwardSignature>("mestre::qkv_attention_backward");
    const variable_list saved = context->get_saved_variables();
    variable_list result(7);
    if (!gradients[0].defined() && !gradients[1].defined()) return result;
    result[0] = operation.call(if_defined(gradients[0]), if_defined(gradients[1]), saved[0], saved[1],
                               context->saved_data["heads"].toInt(), context->saved_data["kv_heads"].toInt(),
                               context->saved_data["window"].toInt(), context->saved_data["scale"].toDouble(),
                               if_defined(saved[2]), if_defined(saved[3]));
    return result;
  }
};

ForwardResult forward_autograd(const Tensor& qkv, std::int64_t heads, std::int64_t kv_heads, std::int64_t window,
                               double scale, const OptionalTensor& cosines, const OptionalTensor& sines) {
  if (!has_kernels(qkv)) return qkv_attention_composition(qkv, heads, kv_heads, window, scale, cosines, sines);
  const variable_list results = QkvAttention::apply(qkv, heads, kv_heads, window, scale, cosines, sines);
  return {results[0], results[1]};
}

}  // namespace

std::tuple<Tensor, Tensor> qkv_attention(const Tensor& qkv, std::int64_t heads, std::int64_t kv_heads,
                                         std::int64_t window, double scale, const OptionalTensor& cosines,
                                         const OptionalTensor& sines) {
  static const auto operation = find_operation<ForwardSignature>("mestre::qkv_attention");
  return operation.call(qkv, heads, kv_heads, window, scale, cosines, sines);
}

std::tuple<Tensor, Tensor> qkv_attention_composition(const Tensor& qkv, std::int64_t heads, std::int64_t kv_heads,
                                                     std::int64_t window, double scale, const OptionalTensor& cosines,
                                                     const OptionalTensor& sines) {
  const Arguments a = {qkv, heads, kv_heads, window, scale, cosines, sines};
  check(a);
  const Parts parts(a, qkv);
  const auto turned = [&](const Tensor& x) { return cosines ? rope_composition(x, *cosines, *sines) : x; };
  const auto [o, logsumexp] =
      sliding_window_attention_composition(turned(parts.q), turned(parts.k), parts.v, window, scale);
  return {o.flatten(2), logsumexp};
}

TORCH_LIBRARY_FRAGMENT(mestre, library) {
  const std::string parameters =
      "Tensor qkv, int heads, int kv_heads, int window, float scale, Tensor? cosines=None, Tensor? sines=None";
  library.def(("qkv_attention(" + parameters + ") -> (Tensor o, Tensor logsumexp)").c_str());
  library.def(
      ("qkv_attention_backward(Tensor? d_o, Tensor? d_logsumexp, Tensor logsumexp, " + parameters + ") -> Tensor")
          .c_str());
}

TORCH_LIBRARY_IMPL(mestre, CPU, library) {
  library.impl("qkv_attention", forward_cpu);
  library.impl("qkv_attention_backward", backward_cpu);
}

TORCH_LIBRARY_IMPL(mestre, Meta, library) {
  library.impl("qkv_attention", forward_meta);
  library.impl("qkv_attention_backward", backward_meta);
}

TORCH_LIBRARY_IMPL(mestre, CompositeExplicitAutograd, library) {
  library.impl("qkv_attention", qkv_attention_composition);
}

TORCH_LIBRARY_IMPL(mestre, Autograd, library) {
  library.impl("qkv_attention", forward_autograd);
  library.impl("qkv_attention_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace mestre::kernels
