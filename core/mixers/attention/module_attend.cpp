#include "core/mixers/attention/module_attend.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/mixers/attention/module_attend_cpu.h"

namespace mestre {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Finds the rows of one sequence and key-value head in tensors laid out as attend() says.
template <class T>
struct Layout {
  Layout(const at::Tensor& qkv, const AttendOptions& o)
      : options(o), length(qkv.size(1)), size(qkv.size(2) / (o.heads + 2 * o.groups)), shared(o.heads / o.groups) {
    if (o.cosines.defined())
      rotation = {.cosines = o.cosines.const_data_ptr<T>(), .sines = o.sines.const_data_ptr<T>()};
  }

  [[nodiscard]] std::int64_t qkv_row() const { return (options.heads + 2 * options.groups) * size; }
  [[nodiscard]] std::int64_t out_row() const { return options.heads * size; }

  [[nodiscard]] AttendInput<T> input(const T* qkv, std::int64_t batch, std::int64_t group) const {
    return {.shape = {.length = length, .size = size, .shared = shared, .window = options.window},
            .rotation = rotation,
            .q = queries<const T>(qkv, batch, group),
            .k = keys<const T>(qkv, batch, group),
            .v = values<const T>(qkv, batch, group)};
  }
  template <class U>
  [[nodiscard]] HeadRows<U> queries(U* qkv, std::int64_t batch, std::int64_t group) const {
    return {qkv + batch * length * qkv_row() + group * shared * size, qkv_row()};
  }
  template <class U>
  [[nodiscard]] HeadRows<U> keys(U* qkv, std::int64_t batch, std::int64_t group) const {
    return {qkv + batch * length * qkv_row() + (options.heads + group) * size, qkv_row()};
  }
  template <class U>
  [[nodiscard]] HeadRows<U> values(U* qkv, std::int64_t batch, std::int64_t group) const {
    return {qkv + batch * length * qkv_row() + (options.heads + options.groups + group) * size, qkv_row()};
  }
  template <class U>
  [[nodiscard]] HeadRows<U> out(U* data, std::int64_t batch, std::int64_t group) const {
    return {data + batch * length * out_row() + group * shared * size, out_row()};
  }
  template <class U>
  [[nodiscard]] U* log_sums(U* data, std::int64_t batch, std::int64_t group) const {
    return data + (batch * options.heads + group * shared) * length;
  }

  const AttendOptions& options;
  std::int64_t length, size, shared;
  Rotation<T> rotation;
};

template <class Task>
void for_each_head(const at::Tensor& qkv, std::int64_t groups, const Task& task) {
  at::parallel_for(0, qkv.size(0) * groups, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) task(i / groups, i % groups);
  });
}

class AttendFunction : public torch::autograd::Function<AttendFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const AttendOptions& options) {
    const std::int64_t heads = options.heads, groups = options.groups;
    const at::Tensor qkv = input.contiguous();
    const std::int64_t batch = qkv.size(0), length = qkv.size(1);
    const at::Tensor o = at::empty({batch, length, qkv.size(2) / (heads + 2 * groups) * heads}, qkv.options());
    const at::Tensor log_sums = at::empty({batch, heads, length}, qkv.options());
    AT_DISPATCH_FLOATING_TYPES(qkv.scalar_type(), "attend", [&] {
      const Layout<scalar_t> layout(qkv, options);
      for_each_head(qkv, groups, [&](std::int64_t row, std::int64_t group) {
        attend_forward<scalar_t>(layout.input(qkv.const_data_ptr<scalar_t>(), row, group),
                                 layout.out(o.mutable_data_ptr<scalar_t>(), row, group),
                                 layout.log_sums(log_sums.mutable_data_ptr<scalar_t>(), row, group));
      });
    });
    context->save_for_backward({qkv, o, log_sums, options.cosines, options.sines});
    context->saved_data["heads"] = heads;
    context->saved_data["groups"] = groups;
    context->saved_data["window"] = options.window;
    return o;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &qkv = saved[0], &o = saved[1], &log_sums = saved[2];
    const AttendOptions options = {.heads = context->saved_data["heads"].toInt(),
                                   .groups = context->saved_data["groups"].toInt(),
                                   .window = context->saved_data["window"].toInt(),
                                   .cosines = saved[3],
                                   .sines = saved[4]};
    const at::Tensor g = gradients[0].contiguous(), dqkv = at::empty_like(qkv);
    AT_DISPATCH_FLOATING_TYPES(qkv.scalar_type(), "attend_backward", [&] {
      const Layout<scalar_t> layout(qkv, options);
      for_each_head(qkv, options.groups, [&](std::int64_t row, std::int64_t group) {
        auto* out = dqkv.mutable_data_ptr<scalar_t>();
        attend_backward<scalar_t>(
            layout.input(qkv.const_data_ptr<scalar_t>(), row, group),
            layout.out(o.const_data_ptr<scalar_t>(), row, group), layout.out(g.const_data_ptr<scalar_t>(), row, group),
            layout.log_sums(log_sums.const_data_ptr<scalar_t>(), row, group), layout.queries(out, row, group),
            layout.keys(out, row, group), layout.values(out, row, group));
      });
    });
    return {dqkv, at::Tensor()};
  }
};

}  // namespace

at::Tensor attend(const at::Tensor& qkv, const AttendOptions& options) {
  return AttendFunction::apply(qkv, options);
}

}  // namespace mestre
