#include "kernels/sliding_window_attention/autograd_heads.h"

#include <ATen/Dispatch.h>

#include "kernels/operation.h"
#include "kernels/sliding_window_attention/cpu.h"

namespace mestre::kernels {
namespace {

/// The rows of head `head` of sequence `row`, and those behind it.
template <class T>
HeadRows<T> rows_of(const at::Tensor& tensor, std::int64_t row, std::int64_t head) {
  return {tensor.mutable_data_ptr<T>() + row * tensor.stride(0) + head * tensor.stride(2), tensor.stride(1),
          tensor.stride(2)};
}
template <class T>
HeadRows<const T> const_rows_of(const at::Tensor& tensor, std::int64_t row, std::int64_t head) {
  return {tensor.const_data_ptr<T>() + row * tensor.stride(0) + head * tensor.stride(2), tensor.stride(1),
          tensor.stride(2)};
}

/// Query heads of a key-value head.
std::int64_t shared_heads(const HeadTensors& in) {
  return in.q.size(2) / in.k.size(2);
}

template <class T>
AttentionInput<T> input_of(const HeadTensors& in, std::int64_t row, std::int64_t group) {
  const std::int64_t shared = shared_heads(in);
  AttentionInput<T> input = {.shape = {.queries = in.q.size(1),
                                       .keys = in.k.size(1),
                                       .size = in.q.size(3),
                                       .shared = shared,
                                       .window = in.window},
                             .scale = static_cast<T>(in.scale),
                             .rotation = {},
                             .q = const_rows_of<T>(in.q, row, group * shared),
                             .k = const_rows_of<T>(in.k, row, group),
                             .v = const_rows_of<T>(in.v, row, group)};
  if (in.cosines.defined())
    input.rotation = {.cosines = in.cosines.const_data_ptr<T>(), .sines = in.sines.const_data_ptr<T>()};
  return input;
}

/// Offset of the first query head of a group in a tensor [B, H, Lq].
std::int64_t sums_of(const HeadTensors& in, std::int64_t row, std::int64_t group) {
  return (row * in.q.size(2) + group * shared_heads(in)) * in.q.size(1);
}

template <class Task>
void for_each_group(const HeadTensors& in, const Task& task) {
  const std::int64_t groups = in.k.size(2);
  run_tasks(in.q.size(0) * groups, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) task(i / groups, i % groups);
  });
}

}  // namespace

void attend_heads(const HeadTensors& in, const at::Tensor& o, const at::Tensor& logsumexp) {
  const std::int64_t shared = shared_heads(in);
  AT_DISPATCH_FLOATING_TYPES(in.q.scalar_type(), "attention", [&] {
    for_each_group(in, [&](std::int64_t row, std::int64_t group) {
      attention_forward<scalar_t>(input_of<scalar_t>(in, row, group),
                                  {.o = rows_of<scalar_t>(o, row, group * shared),
                                   .logsumexp = logsumexp.mutable_data_ptr<scalar_t>() + sums_of(in, row, group)});
    });
  });
}

void attend_heads_backward(const HeadTensors& in, const HeadGradients& g) {
  const std::int64_t shared = shared_heads(in);
  AT_DISPATCH_FLOATING_TYPES(in.q.scalar_type(), "attention_backward", [&] {
    for_each_group(in, [&](std::int64_t row, std::int64_t group) {
      const std::int64_t head = group * shared, sums = sums_of(in, row, group);
      const scalar_t* d_sums = g.d_logsumexp.defined() ? g.d_logsumexp.const_data_ptr<scalar_t>() + sums : nullptr;
      attention_backward<scalar_t>(input_of<scalar_t>(in, row, group), g.logsumexp.const_data_ptr<scalar_t>() + sums,
                                   {.o = const_rows_of<scalar_t>(g.d_o, row, head), .logsumexp = d_sums},
                                   {.q = rows_of<scalar_t>(g.dq, row, head),
                                    .k = rows_of<scalar_t>(g.dk, row, group),
                                    .v = rows_of<scalar_t>(g.dv, row, group)});
    });
  });
}

}  // namespace mestre::kernels
